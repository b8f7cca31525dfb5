; Literals of every notation, strings and character constants.
        bits 32
        dd 0x1f, 0h1f, 1fh, 0FFh, $0f, 0b1010, 0y11, 1010b, 11y, 0o17, 0q17, 17q, 17o, 0d99, 99d, 0t99, 99t
        dd 1_000, 0xdead_beef, 1010_1010b, 0b1h, 0xb
        dq 0x123456789abcdef0, -1, 0xffffffffffffffff
        db 'abc', "def", `g\n\t\\\`\"\x41\101\0\e\u20ac\U0001f600`, "quo'te", 'quo"te'
        db 'a', 'ab', "", 0
        dw 'a', 'ab', 'abc', "abcd"
        dd 'a', 'abc', 'abcd', 'abcde', `\x80`
        dq 'abcdefgh', 'abcdefghi'
        dt 'abc'
        do 'abc'
        db 'a'+1, 'a' | 0x80, ('b')
        dw 'ab'+1
        dd 'abcd'-'abcc'
        mov eax, 'abcd'
        mov al, 'x'
        cmp ax, 'ab'
        push 'a'
        db __?utf16?__('hé'), __?utf32?__("x")
        dw __?utf16le?__("wide"), 0
        db 1, 2, 3,
        db ?, 5
        dw ?
        dd 3 dup (1, 2), 4 dup (?), 2 dup (3 dup (5), 6)
        db 2 dup ('ab', 0)
        db 0 dup (1, 2, (3)), 1 dup (4), 3 dup ('a', 5), 2 dup ($-$$)
        dd 5 , 6;comment
        db ';', "#" ; comment with 'quotes
