// SPDX-License-Identifier: GPL-2.0
/* The module's sources as they are, over the fakes. */
#include "../config.c"
#include "../types.c"
#include "../pages.c"
#include "../irq.c"
#include "../bar.c"
#include "../channel.c"
#include "../admin.c"
