# SPDX-License-Identifier: Apache-2.0
# The guest's end of a channel, for whoever has one.
VG_CLIENT_SRCS := $(addprefix userspace/common/,arena.c client.c client_connect.c client_wait.c \
	fdpass.c settings.c share.c transport_dev.c transport_socket.c)
