// SPDX-License-Identifier: Apache-2.0
/* What the first device says of itself. */
#include "prog.h"

const char *prog_name = "devinfo";

int main(void)
{
	int count, version, major, minor, sms, warp;
	char name[256], bus[32];
	size_t total, free_bytes, all;
	CUdevice dev;
	CUuuid uuid;

	CHECK(cuInit(0));
	CHECK(cuDriverGetVersion(&version));
	CHECK(cuDeviceGetCount(&count));
	if (count < 1)
		prog_fail("no device");
	CHECK(cuDeviceGet(&dev, 0));
	CHECK(cuDeviceGetName(name, sizeof(name), dev));
	CHECK(cuDeviceTotalMem_v2(&total, dev));
	CHECK(cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, dev));
	CHECK(cuDeviceGetAttribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, dev));
	CHECK(cuDeviceGetAttribute(&sms, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, dev));
	CHECK(cuDeviceGetAttribute(&warp, CU_DEVICE_ATTRIBUTE_WARP_SIZE, dev));
	CHECK(cuDeviceGetUuid_v2(&uuid, dev));
	CHECK(cuDeviceGetPCIBusId(bus, sizeof(bus), dev));
	prog_context();
	CHECK(cuMemGetInfo_v2(&free_bytes, &all));
	if (free_bytes > all || all > total)
		prog_fail("%zu of %zu bytes free, the device has %zu", free_bytes, all, total);
	if (warp != 32)
		prog_fail("a warp of %d", warp);
	printf("driver %d.%d, %d device%s\n", version / 1000, version % 1000 / 10, count,
	       count == 1 ? "" : "s");
	printf("uuid ");
	for (int i = 0; i < 16; i++)
		printf("%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
		       (unsigned char)uuid.bytes[i]);
	printf(", pci %s, %d multiprocessors\n", bus, sms);
	prog_done();
	return prog_pass("%s, %zu MiB, compute capability %d.%d", name, total >> 20, major,
			 minor);
}
