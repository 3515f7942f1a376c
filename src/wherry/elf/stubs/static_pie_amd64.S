# What a static PIE of Go starts with on linux/amd64: relocate, protect what relocation wrote, go to the program's entry.
# elf/static_pie.py has the bytes (`as`, then `objcopy -O binary -j .text`) and fills the table at the end.
# It calls the kernel once and touches neither the stack nor the auxiliary vector.
start:
    lea start(%rip), %rbx
    sub vaddr(%rip), %rbx       # rbx: where the program was loaded
    mov rela(%rip), %rsi
    add %rbx, %rsi
    mov count(%rip), %rcx
1:  test %rcx, %rcx
    jz 2f
    mov (%rsi), %rdi            # r_offset
    mov 16(%rsi), %rax          # r_addend
    add %rbx, %rax
    mov %rax, (%rbx,%rdi)
    add $24, %rsi
    dec %rcx
    jmp 1b
2:  mov relro(%rip), %rdi
    add %rbx, %rdi
    mov relro_size(%rip), %rsi
    mov $1, %edx                # PROT_READ
    mov $10, %eax               # mprotect
    syscall
    mov entry(%rip), %rax
    add %rbx, %rax
    xor %edx, %edx              # System V ABI: no function to be called at exit
    jmp *%rax
.balign 8
vaddr:      .quad 0x1111111111111111
rela:       .quad 0
count:      .quad 0
relro:      .quad 0
relro_size: .quad 0
entry:      .quad 0
