; Macros of both kinds, parameters, defaults, local labels, pasting.
        bits 32
%define one 1
%define add2(a, b) ((a)+(b))
%define nested(x) add2(x, one)
%define empty
%define list 1, 2, 3
%idefine CaseLess 0x55
%define self self
        dd one, add2(3, 4), nested(5), list, caseless, CASELESS
%undef one
%define one 2
        dd one, nested(5) empty
%xdefine frozen one
%define late one
%define one 3
        dd frozen, late
%assign n 5
%assign n n+1
%assign m n*2
        dd n, m
%define cat(a, b) a %+ b
        dd cat(on, e), cat(0x, 12)
label_5:
%define num 5
        dd label_ %+ num, label_%[num]
%define greedy(x, y+) y, x
        db greedy(1, 2, 3, 4)
%define noargs() 7
        dd noargs()

%macro zero 0
        nop
%endmacro
%macro single 1
        mov eax, %1
%endmacro
%macro range 1-3
        db %0, %1
%if %0 > 1
        db %2
%endif
%if %0 > 2
        db %3
%endif
%endmacro
%macro defaults 1-4 10, 20, 'abc'
        db %1, %2, %3, %4
%endmacro
%macro any 0-*
        db %0
%rep %0
        db %1
%rotate 1
%endrep
%endmacro
%macro backwards 1-*
%rep %0
%rotate -1
        push %1
%endrep
%endmacro
%macro text 1+
        db %1, 0
%endmacro
%macro counted 2+
        times %1 db %2
%endmacro
%macro locals 1
        jmp %%skip
%%again: dec %1
        jnz %%again
%%skip:
%endmacro
%macro named 1
name_%1: dd name_%1
%1_end: db '%1'
%{1}x:  dd %{1}x
%endmacro
%macro overloaded 0
        db 0
%endmacro
%macro overloaded 1
        db 1
%endmacro
%macro overloaded 2-3
        db 2
%endmacro
%imacro AnyCase 1
        db %1
%endmacro
%macro conditional 2
        j%+1 %2
        j%-1 %2
%endmacro
%macro slices 3-*
        db %{2:3}
        db %{-1:1}
%endmacro
%macro recursive 1
%if %1 > 0
        db %1
        define_rest %1-1
%endif
%endmacro
%macro define_rest 1
        db %1
%endmacro
%macro makes_macro 2
%macro %1 1
        db %2, %%1
%endmacro
%endmacro
%macro inner 1
        single %1
        zero
%endmacro
%macro early 1
        db 1
%if %1
%exitmacro
%endif
        db 2
%endmacro
        zero
        single 5
        single [ebx+ecx*4]
        single {5}
        range 1
        range 1, 2
        range 1, 2, 3
        defaults 1
        defaults 1, 2
        defaults 1, 2, 3, 4
        any
        any 1
        any 1, 2, 3
        backwards eax, ebx, ecx
        text "hello, world", 13, 10
        text 'x'
        counted 3, 1, 2
        locals ecx
        locals edx
        named foo
        named bar
        overloaded
        overloaded 5
        overloaded 5, 6
        overloaded 5, 6, 7
        anycase 5
        ANYCASE 6
        conditional z, label_5
        conditional nae, label_5
        slices 1, 2, 3, 4
        recursive 3
        inner 7
lab1:   zero
lab2    zero
lab3:   single lab3
        early 0
        early 1
%macro retz 0
        jnz %%s
        ret
%%s:
%endmacro
        retz
        retz
%unmacro retz 0
%strlen len 'hello'
%substr sub1 'hello' 2
%substr sub2 'hello' 2, 3
%substr sub3 'hello' 2, -1
%substr sub4 'hello' -2, 2
%strcat joined 'ab', "cd", 'e'
%defstr quoted foo bar
%deftok token 'label_5'
        db len, sub1, sub2, sub3, joined, quoted
        dd token
%push ctx
%$here: dd %$here
%define %$val 5
        db %$val
%push inner
%$here: dd %$here, %$$here
%pop
        dd %$here
%pop
%macro repeat 0
%push repeat
%$begin:
%endmacro
%macro until 1
        j%-1 %$begin
%pop
%endmacro
        repeat
        dec eax
        repeat
        dec ebx
        until z
        until z
%define long_body mov eax, \
        5
        long_body
%ifdef __NASM_MAJOR__
%endif
        dd __LINE__, __BITS__
