/* The physical limit: an epoll server that writes one prepared frame to everybody in the room.
 *
 *   cc -O2 -o limit limit.c && ./limit PORT each|turn
 *
 * each: one write per recipient and message. turn: what one turn of epoll brings for a room is
 * joined, and leaves in one write per recipient. It reads no JSON: the first frame of a connection
 * names its room by the number behind `"room":"r`, every later one makes it send FRAME to the room.
 * It checks nothing, and the handshake's accept key is the one that the load generator expects. */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FDS = 16384, ROOMS = 4096, MEMBERS = 1200, TURN = 1 << 20, EVENTS = 1024 };
enum { CONNECTED, UPGRADED, IN_ROOM };

static const char HELLO[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                            "Connection: Upgrade\r\n"
                            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
static const char JOINED[] = "\x81\x11{\"type\":\"joined\"}";

static struct { int count, fd[MEMBERS], pending; } *rooms;
static struct { int state, room, got; unsigned char rest[1024]; } peers[FDS];
static unsigned char frame[168], turn[TURN];
static int is_turn, dirty[ROOMS], dirty_count;

static void tell(int room, const unsigned char *data, size_t size) {
    for (int i = 0; i < rooms[room].count; i++)
        for (size_t sent = 0; sent < size;) { /* a full socket is waited for: nothing is lost */
            ssize_t n = send(rooms[room].fd[i], data + sent, size - sent, MSG_NOSIGNAL);
            if (n > 0) sent += n;
            else if (errno != EAGAIN) break;
        }
}

static void message(int fd, unsigned char *payload, size_t size) {
    int room = peers[fd].room;
    if (peers[fd].state == UPGRADED) {
        char *name = memmem(payload, size, "\"room\":\"r", 9);
        room = peers[fd].room = name ? atoi(name + 9) : 0;
        peers[fd].state = IN_ROOM;
        rooms[room].fd[rooms[room].count++] = fd;
        send(fd, JOINED, sizeof JOINED - 1, MSG_NOSIGNAL);
    } else if (!is_turn) {
        tell(room, frame, sizeof frame);
    } else if (!rooms[room].pending++) {
        dirty[dirty_count++] = room;
    }
}

static void take(int fd) { /* the generator masks with zeros: a payload stands as it is */
    static unsigned char in[1 << 17];
    int size = peers[fd].got, at = 0;
    memcpy(in, peers[fd].rest, size);
    ssize_t n = recv(fd, in + size, sizeof in - 1024 - size, 0);
    if (n <= 0) { close(fd); return; }
    size += n;
    if (peers[fd].state == CONNECTED) {
        if (memmem(in, size, "\r\n\r\n", 4)) {
            peers[fd].state = UPGRADED;
            send(fd, HELLO, sizeof HELLO - 1, MSG_NOSIGNAL);
            at = size;
        }
    } else while (size - at >= 8) {
        int length = in[at + 1] & 127, head = 6;
        if (length == 126) { length = in[at + 2] << 8 | in[at + 3]; head = 8; }
        if (size - at < head + length) break;
        message(fd, in + at + head, length);
        at += head + length;
    }
    peers[fd].got = size - at;
    memcpy(peers[fd].rest, in + at, peers[fd].got);
}

static void enter(int poll, int listening) {
    int one = 1;
    for (int fd; (fd = accept4(listening, 0, 0, SOCK_NONBLOCK)) >= 0;) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        memset(&peers[fd], 0, sizeof peers[fd]);
        struct epoll_event event = {EPOLLIN, {.fd = fd}};
        epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
    }
}

static void end_turn(void) {
    while (dirty_count) {
        int room = dirty[--dirty_count];
        size_t size = 0;
        for (; rooms[room].pending && size + sizeof frame <= TURN; rooms[room].pending--) {
            memcpy(turn + size, frame, sizeof frame);
            size += sizeof frame;
        }
        tell(room, turn, size);
    }
}

int main(int count, char **arguments) {
    if (count < 3) return 2;
    is_turn = arguments[2][0] == 't';
    rooms = calloc(ROOMS, sizeof *rooms);
    memset(frame, 'x', sizeof frame);
    memcpy(frame, "\x81\x7e\x00\xa4;", 5);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(arguments[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listening, (void *)&address, sizeof address) || listen(listening, 4096)) return 1;
    int poll = epoll_create1(0);
    struct epoll_event events[EVENTS], event = {EPOLLIN, {.fd = listening}};
    epoll_ctl(poll, EPOLL_CTL_ADD, listening, &event);
    for (;;) {
        int ready = epoll_wait(poll, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd == listening) enter(poll, listening);
            else take(events[i].data.fd);
        }
        end_turn();
    }
}
