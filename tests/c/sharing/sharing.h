/* sharing - what the files of this program share. */
#ifndef SHARING_SHARING_H
#define SHARING_SHARING_H

#include "internal.h"

/* STRICT: never asks, is detached now and then.  STEADY: trusts servers, asks, is never detached.
 * ANY: whatever comes. */
enum which { STRICT, STEADY, ANY, CONTEXTS };

/* The client has no certificate; one that is trusted, for servers only; one that is not. */
enum who { NOBODY, MEMBER, STRANGER, CLIENTS };

typedef struct {
    SSL *ssl; /* owned; the server's */
    enum which which;
    enum who who;
} connection;

/* What a thread has done and seen, and its source of random numbers. */
typedef struct {
    uint32_t random;
    size_t finished, failed, resumed, told, changes, faults;
} record;

/* main.c */
void must(bool ok, const char *what);
uint32_t below(record *r, uint32_t limit); /* a random number */

/* contexts.c */
extern SSL_CTX *servers[CONTEXTS], *clients[CLIENTS];
void contexts_init(void);
void contexts_free(void);
void attach(record *r, enum which which);
void send_another_name(enum which which); /* callers must not run concurrently */
/* Has this client been told the names of CAs, of the first one and perhaps of later ones? */
bool is_told_names(const SSL *client);

/* connection.c */
connection *connection_make(record *r); /* shakes hands; NULL: the handshake failed.  Owned */
void connection_free(connection *c);
void connection_ask(record *r, const connection *c); /* who is there? */
void connections_clean_up(void);

#endif
