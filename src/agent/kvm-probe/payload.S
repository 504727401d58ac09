# The KVM probe's guest: one boot sector that goes from real mode over protected mode to long mode with paging on, works there
# a little, and leaves QEMU through the isa-debug-exit port. QEMU's exit code is (value << 1) | 1.
#
#   0x2a -> exit code 85: reached long mode, and memory and processor answered rightly
#   0x11 -> exit code 35: reached long mode, and something read back was wrong
#
# Why this much: where nested virtualisation is broken, /dev/kvm opens, KVM_CREATE_VM succeeds, and code in real mode or even
# this code without its last step ends, slowly, while any Linux hangs. Nothing short of that proves KVM.
#
# Regenerate the bytes of payload.ts (a unit test does the same and compares):
#   as --64 -o payload.o payload.S
#   ld -m elf_x86_64 -N -Ttext=0x7c00 -e start -o payload.elf payload.o
#   objcopy -O binary -j .text payload.elf payload.bin
#   base64 -w 0 payload.bin

        .set    EXIT_PORT, 0xf4
        .set    PML4, 0x1000
        .set    PDPT, 0x2000
        .set    PD, 0x3000
        .set    PAGE_2M, 0x200000
        # QEMU is started with 64 MiB: 2 to 50 MiB lie above the BIOS's low memory and below its tables at the top.
        .set    TOUCHED_PAGES, 24
        .set    CPUID_ROUNDS, 32

        .section .text
        .globl  start

        .code16
start:
        cli
        cld
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    $start, %sp
        ljmp    $0, $1f
1:
        # A20 by the fast gate; bit 0 would reset the machine.
        inb     $0x92, %al
        orb     $0x02, %al
        andb    $0xfe, %al
        outb    %al, $0x92

        # Page tables: one PML4 entry, one PDPT entry, 512 pages of 2 MiB: the first GiB, mapped to itself.
        movw    $PML4, %di
        xorl    %eax, %eax
        movw    $(3 * 4096 / 4), %cx
        rep stosl
        movw    $(PDPT | 3), PML4
        movw    $(PD | 3), PDPT
        movw    $PD, %di
        movl    $0x83, %eax             # present, writable, 2 MiB
        movw    $512, %cx
2:      movl    %eax, (%di)
        addl    $PAGE_2M, %eax
        addw    $8, %di
        loop    2b

        lgdtl   gdt_pointer
        movl    %cr0, %eax
        orb     $1, %al                 # CR0.PE
        movl    %eax, %cr0
        ljmpl   $(code32 - gdt), $protected

        .code32
protected:
        movl    $(data - gdt), %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        movl    %cr4, %eax
        orl     $(1 << 5 | 1 << 9), %eax # CR4.PAE, CR4.OSFXSR (SSE)
        movl    %eax, %cr4
        movl    $PML4, %eax
        movl    %eax, %cr3
        movl    $0xc0000080, %ecx       # EFER
        rdmsr
        orl     $(1 << 8), %eax         # EFER.LME
        wrmsr
        movl    %cr0, %eax
        orl     $(1 << 31), %eax        # CR0.PG
        movl    %eax, %cr0
        ljmpl   $(code64 - gdt), $long

        .code64
long:
        # A number that needs 64 bits, so that a processor which is not in long mode cannot pass.
        movabsq $0x9e3779b97f4a7c15, %rbp

        # Write something else to every page, then read it all back.
        movl    $TOUCHED_PAGES, %ecx
        movl    $PAGE_2M, %edi
        movq    %rbp, %rax
3:      movq    %rax, (%rdi)
        movq    %rax, 0x1ff000(%rdi)    # the last 4 KiB of the same page
        addq    %rbp, %rax
        addq    $PAGE_2M, %rdi
        loop    3b

        movl    $TOUCHED_PAGES, %ecx
        movl    $PAGE_2M, %edi
        movq    %rbp, %rax
4:      cmpq    %rax, (%rdi)
        jne     wrong
        cmpq    %rax, 0x1ff000(%rdi)
        jne     wrong
        addq    %rbp, %rax
        addq    $PAGE_2M, %rdi
        loop    4b

        # A new mapping: the page at 512 MiB becomes the one at 2 MiB, whose first number is still the first one written.
        movl    $0x200083, PD + 256 * 8
        invlpg  0x20000000
        cmpq    %rbp, 0x20000000
        jne     wrong

        # CPUID always leaves the guest, so this also measures what one exit costs.
        movl    $CPUID_ROUNDS, %esi
5:      movl    $0x80000001, %eax
        cpuid
        btl     $29, %edx               # long mode is supported
        jnc     wrong
        decl    %esi
        jnz     5b

        # SSE2 arithmetic is part of every x86-64 and not of KVM's instruction emulator: a KVM that emulates its guests, rather
        # than letting the processor run them, stops here with an internal error, as it does in any Linux.
        movq    %rbp, %xmm0
        paddq   %xmm0, %xmm0
        movq    %xmm0, %rax
        addq    %rbp, %rbp
        cmpq    %rbp, %rax
        jne     wrong

        movl    $0x2a, %eax
        jmp     leave
wrong:
        movl    $0x11, %eax
leave:
        outl    %eax, $EXIT_PORT
6:      hlt
        jmp     6b

        .balign 8
gdt:    .quad   0
code64: .quad   0x00209a0000000000
data:   .quad   0x00cf92000000ffff
code32: .quad   0x00cf9a000000ffff
gdt_pointer:
        .word   . - gdt - 1
        .long   gdt

        .org    start + 510
        .word   0xaa55
