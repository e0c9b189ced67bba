// SPDX-License-Identifier: Apache-2.0
/*
 * Sets get no answer when they stay in memory that is known.  CUDA's own
 * synchronous forms do not wait for device memory either: they are the
 * asynchronous ones on the default stream.
 */
#include "client.h"
#include "shim.h"
#include "shim_calls.h"

/*
 * NVIDIA's driver takes a range that wraps around for one of its allocation (580.159), and the
 * kernel that then sets it may end the context.
 */
static bool wraps(CUdeviceptr p, size_t count, size_t unit)
{
	size_t bytes;

	return __builtin_mul_overflow(count, unit, &bytes) ||
	       __builtin_add_overflow(p, bytes, &p);
}

static bool outside(CUdeviceptr p, size_t count, size_t unit)
{
	return count > SIZE_MAX / unit || !vg_range_known(p, count * unit);
}

static bool outside_2d(CUdeviceptr p, size_t pitch, size_t width, size_t height, size_t unit)
{
	if (!width || !height || pitch > (1ull << 40) || height > (1ull << 20) ||
	    width > (1ull << 40) || width * unit > pitch)
		return true;
	return !vg_range_known(p, pitch * (height - 1) + width * unit);
}

CUresult vgh_cuMemsetD8Async(CUdeviceptr dst, unsigned char v, size_t n, CUstream s)
{
	return wraps(dst, n, 1) ? CUDA_ERROR_INVALID_VALUE :
				  vgw_cuMemsetD8Async(outside(dst, n, 1), dst, v, n, s);
}

CUresult vgh_cuMemsetD16Async(CUdeviceptr dst, unsigned short v, size_t n, CUstream s)
{
	return wraps(dst, n, 2) ? CUDA_ERROR_INVALID_VALUE :
		vgw_cuMemsetD16Async(outside(dst, n, 2) || dst % 2, dst, v, n, s);
}

CUresult vgh_cuMemsetD32Async(CUdeviceptr dst, unsigned int v, size_t n, CUstream s)
{
	return wraps(dst, n, 4) ? CUDA_ERROR_INVALID_VALUE :
		vgw_cuMemsetD32Async(outside(dst, n, 4) || dst % 4, dst, v, n, s);
}

CUresult vgh_cuMemsetD2D8Async(CUdeviceptr dst, size_t pitch, unsigned char v, size_t width,
			       size_t height, CUstream s)
{
	return vgw_cuMemsetD2D8Async(outside_2d(dst, pitch, width, height, 1), dst, pitch, v, width,
				     height, s);
}

CUresult vgh_cuMemsetD2D16Async(CUdeviceptr dst, size_t pitch, unsigned short v, size_t width,
				size_t height, CUstream s)
{
	return vgw_cuMemsetD2D16Async(outside_2d(dst, pitch, width, height, 2) || (dst | pitch) % 2,
				      dst, pitch, v, width, height, s);
}

CUresult vgh_cuMemsetD2D32Async(CUdeviceptr dst, size_t pitch, unsigned int v, size_t width,
				size_t height, CUstream s)
{
	return vgw_cuMemsetD2D32Async(outside_2d(dst, pitch, width, height, 4) || (dst | pitch) % 4,
				      dst, pitch, v, width, height, s);
}

CUresult vgh_cuMemsetD8_v2(CUstream none, CUdeviceptr dst, unsigned char v, size_t n)
{
	return vg_memop_done(vgh_cuMemsetD8Async(dst, v, n, none), none, dst, 0);
}

CUresult vgh_cuMemsetD16_v2(CUstream none, CUdeviceptr dst, unsigned short v, size_t n)
{
	return vg_memop_done(vgh_cuMemsetD16Async(dst, v, n, none), none, dst, 0);
}

CUresult vgh_cuMemsetD32_v2(CUstream none, CUdeviceptr dst, unsigned int v, size_t n)
{
	return vg_memop_done(vgh_cuMemsetD32Async(dst, v, n, none), none, dst, 0);
}

CUresult vgh_cuMemsetD2D8_v2(CUstream none, CUdeviceptr dst, size_t pitch, unsigned char v,
			     size_t width, size_t height)
{
	return vg_memop_done(vgh_cuMemsetD2D8Async(dst, pitch, v, width, height, none),
			     none, dst, 0);
}

CUresult vgh_cuMemsetD2D16_v2(CUstream none, CUdeviceptr dst, size_t pitch, unsigned short v,
			      size_t width, size_t height)
{
	return vg_memop_done(vgh_cuMemsetD2D16Async(dst, pitch, v, width, height, none),
			     none, dst, 0);
}

CUresult vgh_cuMemsetD2D32_v2(CUstream none, CUdeviceptr dst, size_t pitch, unsigned int v,
			      size_t width, size_t height)
{
	return vg_memop_done(vgh_cuMemsetD2D32Async(dst, pitch, v, width, height, none),
			     none, dst, 0);
}
