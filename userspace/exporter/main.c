// SPDX-License-Identifier: Apache-2.0
/*
 * vgpu-exporter: the mediator's status over HTTP, for Prometheus.
 *
 * It is a program of its own, so that no byte from the network reaches the mediator; it asks
 * for the status as vgpuctl does, once for each GET of /metrics.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/ask.h"
#include "metrics.h"
#include "vg_version.h"

#define LISTEN_DEFAULT "127.0.0.1:9836"
#define CONNECTIONS 16u
#define TIMEOUT_S 10u

static const char *socket_path = VG_CONTROL_DEFAULT;

static enum MHD_Result send_text(struct MHD_Connection *c, unsigned int code, const char *type,
				 char *text, enum MHD_ResponseMemoryMode mode)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(strlen(text), text, mode);
	enum MHD_Result ret;

	if (!r) {
		if (mode == MHD_RESPMEM_MUST_FREE)
			free(text);
		return MHD_NO;
	}
	MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	ret = MHD_queue_response(c, code, r);
	MHD_destroy_response(r);
	return ret;
}

static enum MHD_Result send_metrics(struct MHD_Connection *c)
{
	static bool failed;
	char why[200], *text;
	struct json_object *status = vg_ask(socket_path, "status", why, sizeof(why));

	/* vgpu_up says it to Prometheus; here it is said once. */
	if (!status && !failed)
		fprintf(stderr, "vgpu-exporter: %s\n", why);
	failed = !status;
	text = vg_metrics(status);
	json_object_put(status);
	return text ? send_text(c, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", text,
				MHD_RESPMEM_MUST_FREE) :
		      MHD_NO;
}

static enum MHD_Result serve(void *arg, struct MHD_Connection *c, const char *url,
			     const char *method, const char *version, const char *data,
			     size_t *length, void **state)
{
	(void)arg;
	(void)version;
	(void)data;
	(void)state;
	if (*length) {		/* a body, which nothing here wants */
		*length = 0;
		return MHD_YES;
	}
	if (strcmp(method, MHD_HTTP_METHOD_GET) && strcmp(method, MHD_HTTP_METHOD_HEAD))
		return send_text(c, MHD_HTTP_METHOD_NOT_ALLOWED, "text/plain", "only GET\n",
				 MHD_RESPMEM_PERSISTENT);
	if (!strcmp(url, "/metrics"))
		return send_metrics(c);
	if (!strcmp(url, "/"))
		return send_text(c, MHD_HTTP_OK, "text/html",
				 "<title>vgpu</title><a href=\"/metrics\">metrics</a>\n",
				 MHD_RESPMEM_PERSISTENT);
	return send_text(c, MHD_HTTP_NOT_FOUND, "text/plain", "there is /metrics alone\n",
			 MHD_RESPMEM_PERSISTENT);
}

/* ADDRESS:PORT, or [ADDRESS]:PORT for IPv6. */
static bool parse_address(const char *text, struct sockaddr_storage *out)
{
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)out;
	struct sockaddr_in *four = (struct sockaddr_in *)out;
	const char *colon = strrchr(text, ':');
	char host[64], *end;
	unsigned long port;
	size_t length;

	if (!colon || colon[1] < '0' || colon[1] > '9')
		return false;
	port = strtoul(colon + 1, &end, 10);
	length = colon - text;
	if (*end || port > 65535 || length >= sizeof(host))
		return false;
	memset(out, 0, sizeof(*out));
	if (*text == '[' && length > 2 && text[length - 1] == ']') {
		snprintf(host, sizeof(host), "%.*s", (int)length - 2, text + 1);
		out->ss_family = AF_INET6;
		six->sin6_port = htons(port);
		return inet_pton(AF_INET6, host, &six->sin6_addr) == 1;
	}
	snprintf(host, sizeof(host), "%.*s", (int)length, text);
	out->ss_family = AF_INET;
	four->sin_port = htons(port);
	return inet_pton(AF_INET, host, &four->sin_addr) == 1;
}

static void usage(FILE *to)
{
	fprintf(to,
		"usage: vgpu-exporter [--listen ADDRESS:PORT] [--socket PATH]\n"
		"       vgpu-exporter --version | --help\n"
		"Serves metrics for Prometheus at http://ADDRESS:PORT/metrics (" LISTEN_DEFAULT ").\n"
		"PATH is the mediator's control socket, " VG_CONTROL_DEFAULT " unless said.\n");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "listen", required_argument, NULL, 'l' },
		{ "socket", required_argument, NULL, 's' },
		{ "version", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	const char *listen = LISTEN_DEFAULT;
	const union MHD_DaemonInfo *info;
	struct sockaddr_storage address;
	struct MHD_Daemon *daemon;
	sigset_t ends;
	int option, signal_number;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'l':
			listen = optarg;
			break;
		case 's':
			socket_path = optarg;
			break;
		case 'v':
			puts("vgpu-exporter " VG_VERSION);
			return EXIT_SUCCESS;
		case 'h':
			usage(stdout);
			return EXIT_SUCCESS;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (optind != argc) {
		usage(stderr);
		return 2;
	}
	if (!parse_address(listen, &address)) {
		fprintf(stderr, "vgpu-exporter: --listen %s: not ADDRESS:PORT, as in " LISTEN_DEFAULT
				" or [::1]:9836\n", listen);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	errno = 0;
	daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL |
				  (address.ss_family == AF_INET6 ? MHD_USE_IPv6 : 0),
				  0, NULL, NULL, serve, NULL,
				  MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&address,
				  MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS,
				  MHD_OPTION_PER_IP_CONNECTION_LIMIT, CONNECTIONS / 2,
				  MHD_OPTION_CONNECTION_TIMEOUT, TIMEOUT_S, MHD_OPTION_END);
	if (!daemon) {
		fprintf(stderr, "vgpu-exporter: cannot listen at %s: %s\n", listen,
			errno ? strerror(errno) : "the HTTP library gives no reason");
		return EXIT_FAILURE;
	}
	info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT);
	printf("serving at %.*s:%u\n", (int)(strrchr(listen, ':') - listen), listen,
	       info ? info->port : 0);
	fflush(stdout);
	sigwait(&ends, &signal_number);
	MHD_stop_daemon(daemon);
	return EXIT_SUCCESS;
}
