/* origin PORT: what the benchmark of probes probes. It accepts on every address of this machine, answers a request with a
 * short HTTP/1.1 200 and closes; a connection without a request is closed when the other side does. One thread.
 * Each octet on standard input is answered with a line of counts since the start: "ACCEPTED ANSWERED FAILED OPEN". */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n";
static unsigned long accepted, answered, failed, open_now;

static void end(int fd) {
    close(fd);
    open_now--;
}

/* A request of the benchmark comes in one segment: what ends with an empty line is one. */
static void serve(int fd) {
    char in[4096];
    ssize_t n = recv(fd, in, sizeof in, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n >= 4 && memcmp(in + n - 4, "\r\n\r\n", 4) == 0) {
        if (send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL) == sizeof answer - 1) answered++;
        else failed++;
    } else if (n > 0) {
        failed++;
    }
    end(fd);
}

int main(int argc, char **argv) {
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), poll = epoll_create1(0);
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(argc > 1 ? atoi(argv[1]) : 8080)};
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, ready[256];
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    /* The kernel cuts the backlog down to net.core.somaxconn. */
    if (bind(listener, (struct sockaddr *)&any, sizeof any) || listen(listener, 1 << 16) ||
        epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event)) {
        perror("origin: listen");
        return 1;
    }
    event.data.fd = 0;
    if (epoll_ctl(poll, EPOLL_CTL_ADD, 0, &event)) {
        perror("origin: standard input");
        return 1;
    }
    for (;;) {
        int n = epoll_wait(poll, ready, 256, -1);
        for (int i = 0; i < n; i++) {
            int fd = ready[i].data.fd;
            char asked;
            if (fd == 0) {
                if (read(0, &asked, 1) <= 0) return 0;
                printf("%lu %lu %lu %lu\n", accepted, answered, failed, open_now);
                fflush(stdout);
            } else if (fd != listener) {
                serve(fd);
            } else {
                for (int j = 0; j < 64 && (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0; j++) {
                    accepted++;
                    open_now++;
                    event.events = EPOLLIN, event.data.fd = fd;
                    if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event)) failed++, end(fd);
                }
            }
        }
    }
}
