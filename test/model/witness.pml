/* SPDX-License-Identifier: BSD-3-Clause */

/* With -DWITNESS=n, reaching n is an error: that shows that it is reached. */
#ifdef WITNESS
#define reached(n) assert(n != WITNESS);
#else
#define reached(n)
#endif
