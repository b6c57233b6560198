/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_COMPILER_H
#define MAG_COMPILER_H

/**
 * @file
 * What gcc and clang have beside the standards, under names that are the same in C and in C++: the
 * one header of the library with attributes, builtins and pragmas. Not for users.
 */

#include <stdint.h>

/** Functions without a trace of their arguments' addresses, nor of a constant number of objects. */
#define MAG_INLINE static inline __attribute__((always_inline))
/** Functions of a header that are called seldom, and perhaps by nobody. */
#define MAG_COLD static __attribute__((cold, noinline, unused))
/** Functions whose races are known. Alone, so that they spare their callers nothing. */
#define MAG_NO_TSAN __attribute__((noinline, no_sanitize("thread")))
/** Functions that read what may be poisoned, too. */
#define MAG_NO_SANITIZERS __attribute__((no_sanitize("address", "thread")))
/** Functions that another library may have, or nobody. */
#define MAG_WEAK __attribute__((weak))

/** Alignment in bytes: of a struct, behind its brace; of a field, behind its name. */
#define MAG_ALIGNED(bytes) __attribute__((aligned(bytes)))
/** Variables of a thread that are one load away, without a call of __tls_get_addr(). */
#define MAG_INITIAL_EXEC __attribute__((tls_model("initial-exec")))

/* The library is compiled with hidden visibility; version.map says which of these are exported. */
#define MAG_HIDDEN __attribute__((visibility("hidden")))
#define MAG_EXPORTED __attribute__((visibility("default")))
/** Around the declarations of a header: all of them are MAG_EXPORTED. */
#define MAG_EXPORTED_BEGIN _Pragma("GCC visibility push(default)")
#define MAG_EXPORTED_END _Pragma("GCC visibility pop")

/** Around structs that end with an array without a size: gcc and clang have them in C++ too. */
#define MAG_FLEXIBLE_BEGIN                                                                         \
	_Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wpedantic\"")
#define MAG_FLEXIBLE_END _Pragma("GCC diagnostic pop")

/** A pointer to the same without its qualifiers, _Atomic for one: those of the type remain. */
#define MAG_UNQUALIFIED(type, pointer) ((type *)(uintptr_t)(pointer))

/** Is this true, and known to be so when the code is compiled? */
#define MAG_CONSTANT(condition) (__builtin_constant_p(condition) && (condition))
#define MAG_LIKELY(condition) __builtin_expect(condition, 1)
#define MAG_UNLIKELY(condition) __builtin_expect(condition, 0)
/** Copy a constant number of bytes, without a call. */
#define MAG_COPY(to, from, bytes) __builtin_memcpy(to, from, bytes)
/**
 * Functions that use registers of 32 bytes, whatever the compiler's options say, for CPUs of which
 * MAG_CPU_IS_WIDE() is true. MAG_INLINE functions become a part of them. The CPU that is named is
 * one for which compilers make copies of such registers; no instruction of its own is used.
 */
#ifdef __x86_64__
#define MAG_WIDE __attribute__((target("avx2,tune=skylake-avx512")))
#define MAG_CPU_IS_WIDE() (__builtin_cpu_init(), __builtin_cpu_supports("avx2") != 0)
/** In a MAG_WIDE function: have two vectors of 32 bytes a bit in common? */
#define MAG_WIDE_HAS(a, b)                                                                         \
	(!__builtin_ia32_ptestz256((long long MAG_VECTOR(32))(a), (long long MAG_VECTOR(32))(b)))
#else
#define MAG_WIDE
#define MAG_CPU_IS_WIDE() 0
#endif
/** A type of so many bytes, whose operators go element by element. */
#define MAG_VECTOR(bytes) __attribute__((vector_size(bytes)))
/** Where the frame of this function is. */
#define MAG_FRAME() __builtin_frame_address(0)
#define MAG_PREFETCH_WRITE(address) __builtin_prefetch(address, 1)
/**
 * A pointer to as many objects as a number says. Without optimisation gcc does not see which copies
 * that number rules out, and warns of those that would pass the end of a single one.
 */
#ifdef __OPTIMIZE__
#define MAG_OF_ANY_LENGTH(pointer) ((void)0)
#else
#define MAG_OF_ANY_LENGTH(pointer) __asm__("" : "+r"(pointer))
#endif
/** A number that is needed in 64 and in 32 bits: without this the compiler computes it twice. */
#define MAG_COMPUTED(number) __asm__("" : "+r"(number))

/*
 * Atomic accesses to fields that are plain integers and pointers, since C++ has no _Atomic: those
 * of the public headers. The memory order is one of the four.
 */
#define MAG_RELAXED __ATOMIC_RELAXED
#define MAG_ACQUIRE __ATOMIC_ACQUIRE
#define MAG_RELEASE __ATOMIC_RELEASE
#define MAG_SEQ_CST __ATOMIC_SEQ_CST

#define MAG_LOAD(at, order) __atomic_load_n(at, order)
#define MAG_STORE(at, value, order) __atomic_store_n(at, value, order)
/** The value before. */
#define MAG_FETCH_ADD(at, n, order) __atomic_fetch_add(at, n, order)
#define MAG_FETCH_AND(at, bits, order) __atomic_fetch_and(at, bits, order)
#define MAG_FETCH_OR(at, bits, order) __atomic_fetch_or(at, bits, order)
/** Orders accesses of this thread against its own signal handlers, and membarrier(). */
#define MAG_SIGNAL_FENCE(order) __atomic_signal_fence(order)

#endif /* MAG_COMPILER_H */
