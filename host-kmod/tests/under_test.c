// SPDX-License-Identifier: GPL-2.0
/* The module's sources as they are, over the fakes. */
#include <linux/eventfd.h>

#include "fake.h"

#define eventfd_ctx_put fake_eventfd_put
#define eventfd_ctx_fdget fake_eventfd_get

#include "../config.c"
#include "../pools.c"
#include "../types.c"
#include "../pages.c"
#include "../backing.c"
#include "../irq.c"
#include "../bar.c"
#include "../channel.c"
#include "../reset.c"
#include "../admin.c"

s64 fake_pinned_total(void)
{
	return atomic64_read(&pinned_total);
}
