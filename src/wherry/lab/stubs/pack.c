/* The start of a packed program: unpacks it to where it was linked, protects its segments, and jumps to its entry.

   It has no libc. `elf/packing.py` fills HEADER and appends the payload: LZMA as .lzma files have it. Nothing is
   written anywhere; /proc/self/exe stays the packed file. `scripts/pack_stub.sh` compiles it for each architecture.

   Sources: LZMA specification (7-Zip, lzma-specification.txt); elf(5); getauxval(3); syscall(2). */

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

#if defined(__x86_64__)
enum { WRITE = 1, MMAP = 9, MPROTECT = 10, MUNMAP = 11, EXIT = 60 };
static inline long call(long number, long a, long b, long c, long d, long e, long f)
{
    long result;
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
__asm__(".globl _start\n_start: mov %rsp,%rbx\n mov %rsp,%rdi\n and $-16,%rsp\n call unpacked\n mov %rbx,%rsp\n"
        " xor %edx,%edx\n xor %ebp,%ebp\n jmp *%rax\n");
#elif defined(__aarch64__)
enum { WRITE = 64, MMAP = 222, MPROTECT = 226, MUNMAP = 215, EXIT = 93 };
static inline long call(long number, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d, x4 __asm__("x4") = e, x5 __asm__("x5") = f;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
}
__asm__(".globl _start\n_start: mov x19,sp\n mov x0,sp\n bl unpacked\n mov sp,x19\n mov x16,x0\n mov x0,#0\n br x16\n");
#endif

enum { SEGMENTS = 8, NONE = -1, READ_WRITE = 3, PRIVATE_FIXED_ANONYMOUS = 0x100032, AT_NULL = 0, AT_PHDR = 3, AT_PHNUM = 5, AT_ENTRY = 9 };

struct header {
    u64 magic;       /* wherryP1 */
    u64 payload;     /* where it starts, from the start of this file */
    u64 packed;      /* its bytes */
    u64 base;        /* where the program is linked to */
    u64 size;        /* bytes of it that are unpacked */
    u64 memory;      /* bytes of it in memory */
    u64 entry;
    u64 count;       /* segments */
    struct { u64 address, size, protection; } segments[SEGMENTS];
};
__attribute__((section(".header"), used)) volatile struct header HEADER = {.magic = 0x3150797272656877UL};
extern const u8 stub_start[];

static void stop(const char *text, int size)
{
    call(WRITE, 2, (long)text, size, 0, 0, 0);
    for (;;)
        call(EXIT, 127, 0, 0, 0, 0, 0);
}
#define STOP(text) stop("packed program: " text "\n", sizeof("packed program: " text "\n") - 1)

/* LZMA. Names are those of the specification. */
static u16 probs[1848 + (768 << 4)];
static u32 range, code;
static const u8 *in, *in_end;

static void normalize(void)
{
    if (range < (1u << 24)) {
        if (in == in_end)
            STOP("damaged");
        range <<= 8;
        code = (code << 8) | *in++;
    }
}

static inline __attribute__((always_inline)) int bit(u16 *prob)
{
    normalize();
    u32 bound = (range >> 11) * *prob;
    if (code < bound) {
        range = bound;
        *prob += (2048 - *prob) >> 5;
        return 0;
    }
    range -= bound;
    code -= bound;
    *prob -= *prob >> 5;
    return 1;
}

static u32 tree(u16 *p, int bits)
{
    u32 m = 1;
    for (int i = 0; i < bits; i++)
        m = (m << 1) | bit(p + m);
    return m - (1u << bits);
}

static u32 reverse_tree(u16 *p, int bits)
{
    u32 m = 1, symbol = 0;
    for (int i = 0; i < bits; i++) {
        int b = bit(p + m);
        m = (m << 1) | b;
        symbol |= (u32)b << i;
    }
    return symbol;
}

static u32 length(u16 *p, u32 position_state)
{
    if (!bit(p))
        return tree(p + 2 + (position_state << 3), 3);
    if (!bit(p + 1))
        return 8 + tree(p + 130 + (position_state << 3), 3);
    return 16 + tree(p + 258, 8);
}

static u32 distance(u16 *slots, u16 *special, u16 *align, u32 slot)
{
    (void)slots;
    if (slot < 4)
        return slot;
    int bits = (slot >> 1) - 1;
    u32 found = (2 | (slot & 1)) << bits;
    if (slot < 14)
        return found + reverse_tree(special + found - slot, bits);
    u32 direct = 0;
    for (int i = 0; i < bits - 4; i++) {
        normalize();
        range >>= 1;
        code -= range;
        u32 borrowed = 0u - (code >> 31);
        code += range & borrowed;
        direct = (direct << 1) + (borrowed + 1);
    }
    return found + (direct << 4) + reverse_tree(align, 4);
}

static void unpack(const u8 *packed, u64 packed_size, u8 *out, u64 size)
{
    u8 properties = packed[0];
    int lc = properties % 9, lp = properties / 9 % 5, pb = properties / 45;
    if (packed_size < 18 || lc + lp > 4 || pb > 4)
        STOP("damaged");
    in = packed + 13;
    in_end = packed + packed_size;
    for (u32 i = 0; i < sizeof probs / sizeof *probs; i++)
        probs[i] = 1024;
    range = ~0u;
    code = 0;
    for (int i = 0; i < 5; i++)
        code = (code << 8) | *in++;
    u16 *is_match = probs, *is_rep = probs + 192, *is_rep0 = probs + 204, *is_rep1 = probs + 216, *is_rep2 = probs + 228;
    u16 *is_rep0_long = probs + 240, *slots = probs + 432, *special = probs + 688, *align = probs + 804;
    u16 *match_length = probs + 820, *rep_length = probs + 1334, *literal = probs + 1848;
    u32 rep0 = 0, rep1 = 0, rep2 = 0, rep3 = 0, state = 0;
    u64 at = 0;
    while (at < size) {
        u32 position_state = at & ((1u << pb) - 1);
        if (!bit(is_match + (state << 4) + position_state)) {
            u32 previous = at ? out[at - 1] : 0, symbol = 1;
            u16 *p = literal + 768 * (((at & ((1u << lp) - 1)) << lc) + (previous >> (8 - lc)));
            if (state >= 7) {
                u32 matched = out[at - rep0 - 1];
                do {
                    u32 expected = (matched >> 7) & 1;
                    matched <<= 1;
                    u32 b = bit(p + ((1 + expected) << 8) + symbol);
                    symbol = (symbol << 1) | b;
                    if (expected != b)
                        break;
                } while (symbol < 256);
            }
            while (symbol < 256)
                symbol = (symbol << 1) | bit(p + symbol);
            out[at++] = (u8)symbol;
            state = state < 4 ? 0 : state < 10 ? state - 3 : state - 6;
            continue;
        }
        u32 run;
        if (bit(is_rep + state)) {
            if (!bit(is_rep0 + state)) {
                if (!bit(is_rep0_long + (state << 4) + position_state)) {
                    if (rep0 >= at)
                        STOP("damaged");
                    state = state < 7 ? 9 : 11;
                    out[at] = out[at - rep0 - 1];
                    at++;
                    continue;
                }
            } else {
                u32 chosen;
                if (!bit(is_rep1 + state)) {
                    chosen = rep1;
                } else {
                    if (!bit(is_rep2 + state)) {
                        chosen = rep2;
                    } else {
                        chosen = rep3;
                        rep3 = rep2;
                    }
                    rep2 = rep1;
                }
                rep1 = rep0;
                rep0 = chosen;
            }
            run = length(rep_length, position_state);
            state = state < 7 ? 8 : 11;
        } else {
            rep3 = rep2;
            rep2 = rep1;
            rep1 = rep0;
            run = length(match_length, position_state);
            state = state < 7 ? 7 : 10;
            rep0 = distance(slots, special, align, tree(slots + ((run < 4 ? run : 3) << 6), 6));
            if (rep0 == ~0u)
                break;
        }
        run += 2;
        if (rep0 >= at)
            STOP("damaged");
        if (run > size - at)
            run = size - at;
        u8 *to = out + at;
        const u8 *from = to - rep0 - 1;
        at += run;
        while (run--)
            *to++ = *from++;
    }
    if (at != size)
        STOP("damaged");
}

__attribute__((used)) u64 unpacked(u64 *stack)
{
    const u8 *payload = stub_start + HEADER.payload;
    u64 base = HEADER.base, entry = HEADER.entry;
    if ((u64)call(MMAP, base, HEADER.memory, READ_WRITE, PRIVATE_FIXED_ANONYMOUS, NONE, 0) != base)
        STOP("no memory where it is linked to");
    unpack(payload, HEADER.packed, (u8 *)base, HEADER.size);
    for (u64 i = 0; i < HEADER.count; i++)
        if (call(MPROTECT, HEADER.segments[i].address, HEADER.segments[i].size, HEADER.segments[i].protection, 0, 0, 0))
            STOP("segments cannot be protected");
    u64 *auxiliary = stack + 1 + stack[0] + 1;
    while (*auxiliary)
        auxiliary++;
    for (auxiliary++; auxiliary[0] != AT_NULL; auxiliary += 2) {
        if (auxiliary[0] == AT_PHDR)
            auxiliary[1] = base + 64;
        if (auxiliary[0] == AT_PHNUM)
            auxiliary[1] = ((volatile u16 *)base)[28];
        if (auxiliary[0] == AT_ENTRY)
            auxiliary[1] = entry;
    }
    return entry;
}
