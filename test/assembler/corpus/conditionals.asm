; Conditional assembly and repetition.
        bits 64
%define defined_name
%assign five 5
%if five == 5
        db 1
%elif five == 6
        db 2
%else
        db 3
%endif
%if five > 5
        db 4
%elif five == 5
        db 5
%elif five == 5
        db 6
%else
        db 7
%endif
%if 0
%if 1
        db 8
%else
        db 9
%endif
        garbage ( [ 'here
%elif 0
%else
        db 10
%endif
%ifdef defined_name
        db 11
%endif
%ifndef undefined_name
        db 12
%else
        db 13
%endif
%ifdef undefined_name
%elifdef defined_name
        db 14
%endif
%ifidn abc, abc
        db 15
%endif
%ifidn abc, ABC
        db 16
%elifidni abc, ABC
        db 17
%endif
%ifnidn a, b
        db 18
%endif
%ifidn 'abc', "abc"
        db 19
%endif
%define value rax
%ifidni value, RAX
        db 20
%endif
%ifid foo
        db 21
%endif
%ifnum 5
        db 22
%endif
%ifnum -5
        db 23
%endif
%ifnnum foo
        db 24
%endif
%ifstr 'abc'
        db 25
%endif
%ifstr abc
        db 26
%endif
%ifempty
        db 27
%endif
%ifnempty x
        db 28
%endif
%macro mac 2
%endmacro
%ifmacro mac 2
        db 29
%endif
%ifmacro mac 1
        db 30
%endif
%ifmacro mac 1-3
        db 31
%endif
%iftoken abc
        db 32
%endif
%ifntoken a b
        db 33
%endif
%rep 3
        db 34
%endrep
%assign i 0
%rep 10
%if i == 4
%exitrep
%endif
        db i
%assign i i+1
%endrep
%assign j 0
%rep 2
%assign k 0
%rep 3
        db j*16+k
%assign k k+1
%endrep
%assign j j+1
%endrep
%rep 0
        db 35
%endrep
here:
%if here - $$ > 10 && ($-$$) > 10
        db 36
%endif
%assign gap $-here
        db gap
%macro arg 1
%ifid %1
        db 'i'
%elifnum %1
        db 'n'
%elifstr %1
        db 's'
%else
        db '?'
%endif
%ifidni %1, rax
        db 'r'
%endif
%ifempty %1
        db 'e'
%endif
%endmacro
        arg foo
        arg 5
        arg 'x'
        arg [rax]
        arg RAX
        arg {}
%if 1 ; comment
%endif
