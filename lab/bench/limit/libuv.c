/* The limit for a library: the protocol of common/framing.py in C on libuv, which uvloop is built on.
 *
 *     cc -O2 -o libuv libuv.c -luv && ./libuv PORT
 *
 * It does what epoll.c does, by the means that libuv has for it, so that the two can be compared.
 */

#include <arpa/inet.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <uv.h>

enum { BACKLOG = 1024, RECV_SIZE = 64 * 1024, VECTOR = 64 };

struct client {
    uv_tcp_t tcp; /* first, so that a pointer to the one is a pointer to the other */
    bool in_frame;
};

struct unsent {
    uv_write_t request;
    char bytes[];
};

static uv_tcp_t listener;
static long clients, room;
static bool held;

/* One for all clients, so that an idle one costs only its struct. */
static char buffer[RECV_SIZE];

static void accept_one(void);

/* An answer is never longer than what it answers, so it is made in place. */
static size_t answer(bool *in_frame, size_t size)
{
    char *from = buffer, *end = buffer + size;
    size_t owed = 0;
    while (from < end) {
        char *mark = memchr(from, *in_frame ? '$' : '^', end - from);
        char *until = mark ? mark : end;
        if (*in_frame) {
            memmove(buffer + owed, from, until - from);
            owed += until - from;
        }
        if (mark)
            *in_frame = !*in_frame;
        from = until + 1;
    }
    /* A few bytes too many, which nobody is sent: GCC's -O2 uses vectors only for whole ones. */
    size_t whole = (owed + VECTOR - 1) / VECTOR * VECTOR;
    for (size_t i = 0; i < whole; i++)
        buffer[i]++;
    return owed;
}

static void on_closed(uv_handle_t *client)
{
    free(client);
    clients--;
    if (held)
        accept_one();
}

static void drop(uv_stream_t *client)
{
    uv_close((uv_handle_t *)client, on_closed);
}

static void on_buffer(uv_handle_t *client, size_t suggested, uv_buf_t *buf)
{
    (void)client, (void)suggested;
    *buf = uv_buf_init(buffer, RECV_SIZE);
}

static void on_read(uv_stream_t *client, ssize_t size, const uv_buf_t *buf);

static void on_written(uv_write_t *request, int status)
{
    uv_stream_t *client = request->handle;
    free(request);
    if (status < 0 || uv_read_start(client, on_buffer, on_read) < 0)
        drop(client);
}

/* From here until all is sent nothing is read, so no client has more than one answer kept. */
static void keep(uv_stream_t *client, const char *rest, size_t size)
{
    struct unsent *unsent = malloc(sizeof *unsent + size);
    uv_read_stop(client);
    if (!unsent) {
        drop(client);
        return;
    }
    uv_buf_t buf = uv_buf_init(memcpy(unsent->bytes, rest, size), size);
    if (uv_write(&unsent->request, client, &buf, 1, on_written) < 0) {
        free(unsent);
        drop(client);
    }
}

static void on_read(uv_stream_t *client, ssize_t size, const uv_buf_t *buf)
{
    if (size < 0) {
        drop(client);
        return;
    }
    int owed = answer(&((struct client *)client)->in_frame, size);
    if (owed == 0)
        return;
    int sent = uv_try_write(client, &(uv_buf_t){.base = buf->base, .len = owed}, 1);
    if (sent == UV_EAGAIN)
        sent = 0;
    if (sent < 0)
        drop(client);
    else if (sent < owed)
        keep(client, buf->base + sent, owed - sent);
}

/* Out of descriptors, libuv closes whoever waits in the backlog. It stops listening, instead,
 * while one that has come is not accepted: so the last for whom there is room is held like that.
 */
static void accept_one(void)
{
    struct client *client = clients < room ? calloc(1, sizeof *client) : NULL;
    held = !client;
    if (held)
        return;
    clients++;
    uv_stream_t *stream = (uv_stream_t *)client;
    uv_tcp_init(listener.loop, &client->tcp);
    if (uv_accept((uv_stream_t *)&listener, stream) < 0
        || uv_read_start(stream, on_buffer, on_read) < 0
        || uv_try_write(stream, &(uv_buf_t){.base = "*", .len = 1}, 1) != 1)
        drop(stream);
}

static void on_connection(uv_stream_t *server, int status)
{
    (void)server;
    if (status == 0)
        accept_one();
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    uv_stop(handle->loop);
}

int main(int argc, char **argv)
{
    int port = argc == 2 ? atoi(argv[1]) : -1;
    if (port < 0 || port > UINT16_MAX)
        return fprintf(stderr, "usage: %s PORT\n", argv[0]), 2;
    signal(SIGPIPE, SIG_IGN);
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);

    uv_loop_t *loop = uv_default_loop();
    uv_signal_t signals[2];
    for (int i = 0; i < 2; i++) {
        uv_signal_init(loop, &signals[i]);
        uv_signal_start(&signals[i], on_signal, (int[]){SIGINT, SIGTERM}[i]);
    }
    struct sockaddr_in address;
    int length = sizeof address, error;
    uv_ip4_addr("127.0.0.1", port, &address);
    uv_tcp_init(loop, &listener);
    if ((error = uv_tcp_bind(&listener, (struct sockaddr *)&address, 0)) < 0
        || (error = uv_tcp_nodelay(&listener, 1)) < 0 /* those accepted inherit it */
        || (error = uv_listen((uv_stream_t *)&listener, BACKLOG, on_connection)) < 0
        || (error = uv_tcp_getsockname(&listener, (struct sockaddr *)&address, &length)) < 0)
        return fprintf(stderr, "cannot serve: %s\n", uv_strerror(error)), 1;
    uv_os_fd_t highest;
    uv_fileno((uv_handle_t *)&listener, &highest);
    room = (long)limit.rlim_cur - highest - 2;
    printf("Serving on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    uv_run(loop, UV_RUN_DEFAULT);
}
