// What a static PIE of Go starts with on linux/arm64: relocate, protect what relocation wrote, go to the program's entry.
// elf/static_pie.py has the bytes and fills the table at the end; as static_pie_amd64.S.
start:
    adr x9, start
    ldr x10, vaddr
    sub x9, x9, x10             // x9: where the program was loaded
    ldr x11, rela
    add x11, x11, x9
    ldr x12, count
1:  cbz x12, 2f
    ldr x13, [x11]              // r_offset
    ldr x14, [x11, #16]         // r_addend
    add x14, x14, x9
    str x14, [x9, x13]
    add x11, x11, #24
    sub x12, x12, #1
    b 1b
2:  ldr x0, relro
    add x0, x0, x9
    ldr x1, relro_size
    mov x2, #1                  // PROT_READ
    mov x8, #226                // mprotect
    svc #0
    ldr x10, entry
    add x10, x10, x9
    mov x0, #0                  // no function to be called at exit
    br x10
.balign 8
vaddr:      .quad 0x1111111111111111
rela:       .quad 0
count:      .quad 0
relro:      .quad 0
relro_size: .quad 0
entry:      .quad 0
