// SPDX-License-Identifier: Apache-2.0
/*
 * The callback interface: one subscriber, who is told of calls of the driver's interface and of
 * contexts that come and go.  Of the runtime's interface nothing can be told, because cudart is
 * NVIDIA's own.
 */
#include <pthread.h>
#include <string.h>

#include "cupti_internal.h"

struct cupti_subscriber {
	vg_cupti_callback callback;
	void *user;
};

_Atomic bool vg_callbacks_driver, vg_callbacks_context;

#define CBIDS_MAX 1024

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* all below, but to look at bits */
static struct cupti_subscriber the_one;
static _Atomic(struct cupti_subscriber *) subscriber;
static _Atomic uint64_t driver[CBIDS_MAX / 64];
static _Atomic uint64_t resource;		/* by number; two of them are ever told */

static bool bit(const _Atomic uint64_t *bits, unsigned int i)
{
	return atomic_load_explicit(&bits[i / 64], memory_order_relaxed) >> i % 64 & 1;
}

static void set_bit(_Atomic uint64_t *bits, unsigned int i, bool on)
{
	if (on)
		atomic_fetch_or(&bits[i / 64], 1ull << i % 64);
	else
		atomic_fetch_and(&bits[i / 64], ~(1ull << i % 64));
}

static CUptiResult recount(void)
{
	uint64_t any = 0;

	for (unsigned int i = 0; i < CBIDS_MAX / 64; i++)
		any |= atomic_load(&driver[i]);
	atomic_store(&vg_callbacks_driver, any != 0);
	atomic_store(&vg_callbacks_context, atomic_load(&resource) != 0);
	return vg_reattach();
}

void vg_callback_driver(struct vg_api_call *call, unsigned int cbid, unsigned int site,
			CUresult *result)
{
	struct cupti_subscriber *s = atomic_load(&subscriber);
	struct cupti_callback data = {
		.callbackSite = site, .functionName = call->api->name,
		.functionParams = call->params, .functionReturnValue = result,
		.correlationData = &call->user, .correlationId = call->correlation,
	};
	int device;

	if (!s || !bit(driver, cbid))
		return;
	vg_driver(NULL)->context(NULL, &data.context, &data.contextUid, &device);
	s->callback(s->user, VG_DOMAIN_DRIVER, cbid, &data);
}

void vg_callback_context(CUcontext ctx, bool made)
{
	struct cupti_subscriber *s = atomic_load(&subscriber);
	struct cupti_resource data = { .context = ctx };
	unsigned int cbid = made ? VG_CONTEXT_CREATED : VG_CONTEXT_DESTROY_STARTING;

	if (s && bit(&resource, cbid))
		s->callback(s->user, VG_DOMAIN_RESOURCE, cbid, &data);
}

static void forget(void)
{
	atomic_store(&subscriber, NULL);
	for (unsigned int i = 0; i < CBIDS_MAX / 64; i++)
		atomic_store(&driver[i], 0);
	atomic_store(&resource, 0);
	recount();
}

void vg_callback_forget(void)
{
	pthread_mutex_lock(&lock);
	forget();
	pthread_mutex_unlock(&lock);
}

VG_EXPORT CUptiResult cuptiSubscribe(struct cupti_subscriber **out, vg_cupti_callback callback,
				     void *user)
{
	CUptiResult r = CUPTI_SUCCESS;

	if (!out)
		return vg_cupti_said(CUPTI_ERROR_INVALID_PARAMETER);
	if (!vg_driver(&r))
		return vg_cupti_said(r);
	pthread_mutex_lock(&lock);
	if (atomic_load(&subscriber)) {
		r = CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED;
	} else {
		the_one = (struct cupti_subscriber){ callback, user };
		if (callback)
			atomic_store(&subscriber, &the_one);
		*out = &the_one;
	}
	pthread_mutex_unlock(&lock);
	return vg_cupti_said(r);
}

/* The names of subscribers in `params` are for messages of NVIDIA's tools. */
VG_EXPORT CUptiResult cuptiSubscribe_v2(struct cupti_subscriber **out, vg_cupti_callback callback,
					void *user, void *params)
{
	(void)params;
	return cuptiSubscribe(out, callback, user);
}

VG_EXPORT CUptiResult cuptiUnsubscribe(struct cupti_subscriber *s)
{
	if (s != &the_one)
		return vg_cupti_said(CUPTI_ERROR_INVALID_PARAMETER);
	vg_callback_forget();
	return CUPTI_SUCCESS;
}

/* One callback (cbid), or all of a domain (0). */
static CUptiResult enable(bool on, struct cupti_subscriber *s, uint32_t domain, uint32_t cbid)
{
	CUptiResult r = CUPTI_SUCCESS;
	unsigned int end = domain == VG_DOMAIN_DRIVER ? vg_cbid_end() : VG_RESOURCE_CBIDS;

	if (s != &the_one || !domain || domain >= VG_DOMAINS)
		return CUPTI_ERROR_INVALID_PARAMETER;
	if (domain != VG_DOMAIN_DRIVER && domain != VG_DOMAIN_RESOURCE)
		return CUPTI_ERROR_NOT_SUPPORTED;
	if (cbid >= end)
		return CUPTI_ERROR_INVALID_PARAMETER;
	/* Of resources only contexts are told; who asks for one of the others is told so. */
	if (domain == VG_DOMAIN_RESOURCE && cbid > VG_CONTEXT_DESTROY_STARTING)
		return CUPTI_ERROR_NOT_SUPPORTED;
	pthread_mutex_lock(&lock);
	for (unsigned int i = 1; i < end; i++) {
		if (cbid && i != cbid)
			continue;
		if (domain == VG_DOMAIN_DRIVER && vg_cbid_name(i))
			set_bit(driver, i, on);
		if (domain == VG_DOMAIN_RESOURCE && i <= VG_CONTEXT_DESTROY_STARTING)
			set_bit(&resource, i, on);
	}
	r = recount();
	pthread_mutex_unlock(&lock);
	return r;
}

VG_EXPORT CUptiResult cuptiEnableCallback(uint32_t on, struct cupti_subscriber *s, uint32_t domain,
					  uint32_t cbid)
{
	return vg_cupti_said(cbid ? enable(on, s, domain, cbid) : CUPTI_ERROR_INVALID_PARAMETER);
}

VG_EXPORT CUptiResult cuptiEnableDomain(uint32_t on, struct cupti_subscriber *s, uint32_t domain)
{
	return vg_cupti_said(enable(on, s, domain, 0));
}

VG_EXPORT CUptiResult cuptiEnableAllDomains(uint32_t on, struct cupti_subscriber *s)
{
	(void)on;
	(void)s;
	return vg_cupti_said(CUPTI_ERROR_NOT_SUPPORTED);	/* of four domains nothing is told */
}

VG_EXPORT CUptiResult cuptiGetCallbackState(uint32_t *on, struct cupti_subscriber *s,
					    uint32_t domain, uint32_t cbid)
{
	if (!on || s != &the_one || !domain || domain >= VG_DOMAINS)
		return vg_cupti_said(CUPTI_ERROR_INVALID_PARAMETER);
	*on = (domain == VG_DOMAIN_DRIVER && cbid < CBIDS_MAX && bit(driver, cbid)) ||
	      (domain == VG_DOMAIN_RESOURCE && cbid < 64 && bit(&resource, cbid));
	return CUPTI_SUCCESS;
}

VG_EXPORT CUptiResult cuptiSupportedDomains(size_t *count, const uint32_t **table)
{
	static const uint32_t domains[] = { VG_DOMAIN_DRIVER, VG_DOMAIN_RESOURCE };

	if (!count || !table)
		return vg_cupti_said(CUPTI_ERROR_INVALID_PARAMETER);
	*count = sizeof(domains) / sizeof(domains[0]);
	*table = domains;
	return CUPTI_SUCCESS;
}

VG_EXPORT CUptiResult cuptiGetCallbackName(uint32_t domain, uint32_t cbid, const char **name)
{
	if (!name || !domain || domain >= VG_DOMAINS)
		return vg_cupti_said(CUPTI_ERROR_INVALID_PARAMETER);
	if (domain != VG_DOMAIN_DRIVER)
		return vg_cupti_said(CUPTI_ERROR_NOT_SUPPORTED);
	*name = vg_cbid_name(cbid);
	return vg_cupti_said(*name ? CUPTI_SUCCESS : CUPTI_ERROR_INVALID_PARAMETER);
}
