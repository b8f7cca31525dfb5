; Short operand forms, waiting x87 mnemonics, prefixes, far and sized variants.
        bits 64
        fadd
        fadd st1
        fadd st0, st3
        fadd st3, st0
        fadd to st3
        faddp
        faddp st2
        faddp st2, st0
        fsub
        fsubr st5
        fsub to st5
        fsubp
        fsubrp st1, st0
        fdiv
        fdivr to st2
        fdivrp
        fmul dword [rax]
        fmul qword [rax]
        fcom
        fcom st2
        fcomp
        fucom
        fucomp st1
        fcomi st1
        fcomip st3
        fucomi
        fucomip st0, st1
        fcmovb st1
        fcmovnbe st0, st2
        fxch
        fxch st3
        fld st1
        fld dword [rax]
        fld qword [rax]
        fld tword [rax]
        fstp tword [rbx+8]
        fild word [rax]
        fild qword [rax]
        fistp dword [rax]
        fisttp qword [rax]
        fbld [rax]
        fbld tword [rax]
        ffree st1
        finit
        fninit
        fclex
        fnclex
        fstcw [rax]
        fnstcw [rax]
        fnstcw word [rax]
        fldcw [rax]
        fstsw ax
        fnstsw ax
        fstsw [rax]
        fsave [rax]
        fnsave [rax]
        frstor [rax]
        fstenv [rax]
        fldenv [rax]
        fwait
        wait
        f2xm1
        fsincos
        fiadd word [rax]
        ficomp dword [rax]
        rep movsb
        repe cmpsb
        repne scasq
        repnz scasd
        repz cmpsw
        lock add [rax], rbx
        lock dec byte [rax]
        lock xadd [rax], ecx
        lock bts qword [rax], 5
        o16 nop
        a32 stosb
        es lodsb
        fs xlatb
        rep
        lock
        shl eax, 1
        shl eax, 5
        shl eax, cl
        sal byte [rax], 1
        shr qword [rax], 63
        rcl word [rax], cl
        shld eax, ebx, 5
        shrd [rax], rbx, cl
        bt [rax], ebx
        bt dword [rax], 5
        btr r8, 63
        imul rax
        imul rax, rbx
        imul rax, 1000
        imul r9, 5
        mul byte [rax]
        neg r12
        not byte [r13]
        inc eax
        dec r8w
        setz al
        setnbe [rax]
        setc byte [r9]
        cmovz eax, [rax]
        cmovnle r8, r9
        in al, 5
        in eax, dx
        out 5, al
        out dx, ax
        insb
        outsd
        int 0x80
        int3
        int1
        ud2
        enter 8, 1
        leave
        cwde
        cdqe
        cqo
        cpuid
        rdtscp
        rdmsr
        wbinvd
        xgetbv
        mfence
        lfence
        sfence
        clts
        lmsw ax
        smsw eax
        smsw [rax]
        sgdt [rax]
        lidt [rax]
        invlpg [rax]
        ltr ax
        lldt [rax]
        verr bx
        vmcall
        vmlaunch
        vmptrst [rax]
        vmclear [rax]
        vmread [rax], rbx
        invvpid r8, [rax]
        popcnt eax, ebx
        tzcnt rax, [rbx]
        lzcnt r8, r9
        movbe eax, [rbx]
        movbe [rbx], rax
        rdrand r10
        rdseed ax
        endbr64
        ret 8
        retf 8
        retn 4
        sysexit
        o64 sysexit
        bits 32
        sysexit
        pusha
        popad
        pushad
        push cs
        pop ss
        daa
        aas
        aam
        aam 5
        aad 16
        into
        arpl [eax], bx
        bound eax, [ebx]
        les eax, [ebx]
        lds ax, [ebx]
        lss esp, [ebx]
        lfs eax, [ebx]
        inc eax
        dec word [eax]
        push dword [eax]
        push word [eax]
        call far [eax]
        call eax
        jmp ax
        call word label
        jmp word label
        iretd
        iretw
        ret
        salc
        xchg eax, eax
        xchg ebx, eax
        mov eax, cr0
        mov dr7, eax
        mov [eax], ds
        mov ds, [eax]
        mov ax, ds
        mov ds, ax
        mov eax, fs
        mov gs, ecx
        test eax, 5
        test al, 5
        test ecx, 5
        sbb eax, -1
        and eax, 0xfffffff0
        or ebx, 0x80
        xor ecx, 0xffffff7f
        sysenter
        loopne label
        jecxz label
        jcxz label
        in ax, 0x60
        retf
        fnsave [eax]
        o16 fnsave [eax]
label:
