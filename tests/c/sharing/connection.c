/* connection - a handshake in memory, with a session that another thread may have got, and what may
 * be said of its client. */
#include "sharing.h"

#include <pthread.h>
#include <stdlib.h>

#include <openssl/err.h>

#define STEPS 12 /* more than any handshake takes */

static SSL_SESSION *offered[CLIENTS]; /* owned; the newest of a client's */
static pthread_mutex_t offering = PTHREAD_MUTEX_INITIALIZER;

static SSL *new_end(SSL_CTX *ctx)
{
    SSL *ssl = SSL_new(ctx);

    must(ssl != NULL, "make an SSL");
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    return ssl;
}

static void move(SSL *from, SSL *to)
{
    char *said;
    long size = BIO_get_mem_data(SSL_get_wbio(from), &said);

    if (size > 0)
        must(BIO_write(SSL_get_rbio(to), said, (int)size) == size, "pass on octets");
    (void)BIO_reset(SSL_get_wbio(from));
}

/* exchange_session - take the newest session to be offered, or leave one in its place */
static SSL_SESSION *exchange_session(enum who who, SSL_SESSION *newer)
{
    SSL_SESSION *found = NULL;

    (void)pthread_mutex_lock(&offering);
    if (newer != NULL) {
        SSL_SESSION_free(offered[who]);
        offered[who] = newer;
    } else if (offered[who] != NULL && SSL_SESSION_up_ref(offered[who]))
        found = offered[who];
    (void)pthread_mutex_unlock(&offering);
    return found;
}

/* is_finished - shakes hands */
static bool is_finished(SSL *server, SSL *client)
{
    char octet;
    int result = -1;

    for (int i = 0; i < STEPS && result < 0; i++) {
        (void)SSL_do_handshake(client);
        ERR_clear_error();
        move(client, server);
        result = SSL_do_handshake(server);
        if (result != 1 && SSL_get_error(server, result) != SSL_ERROR_WANT_READ)
            result = 0;
        ERR_clear_error();
        move(server, client);
    }
    if (result == 1)
        (void)SSL_read(client, &octet, 1); /* TLS 1.3's ticket; there is no data */
    ERR_clear_error();
    return result == 1;
}

/* is_right - may this verdict be, on a finished handshake with that SSL_CTX? */
static bool is_right(const ccert_verdict *verdict, enum who who, enum which which)
{
    if (who == NOBODY)
        return verdict->trust == CCERT_ANONYMOUS;
    if (verdict->trust == CCERT_TRUSTED)
        return who == MEMBER && verdict->trusted_as_server;
    return verdict->trust == CCERT_UNTRUSTED && which != STRICT
           && (which != STEADY || who == STRANGER);
}

/* connection_ask - peer(): an SSL_CTX without a policy leaves no record, and a connection is
 * refused if its session's policy has been replaced meanwhile */
void connection_ask(record *r, const connection *c)
{
    ccert_peer *peer;
    enum ccert_peer_result result = ccert_peer_new((uintptr_t)c, &peer);

    if (result == CCERT_PEER_OK) {
        r->told++;
        r->faults += !is_right(&peer->verdict, c->who, c->which);
    } else
        r->faults +=
            result != CCERT_PEER_REFUSED && (c->which == STEADY || result != CCERT_PEER_UNKNOWN);
    ccert_peer_free(peer);
}

void connection_free(connection *c)
{
    if (c == NULL)
        return;
    SSL_free(c->ssl);
    free(c);
}

static connection *new_connection(enum which which, enum who who)
{
    connection *c = malloc(sizeof(*c));

    must(c != NULL, "make a connection");
    *c = (connection){.ssl = new_end(servers[which]), .which = which, .who = who};
    must(SSL_set_app_data(c->ssl, c), "make a connection");
    SSL_set_accept_state(c->ssl);
    return c;
}

static SSL *new_client(enum who who, SSL_SESSION *session, int version)
{
    SSL *client = new_end(clients[who]);

    must((session == NULL || SSL_set_session(client, session))
             && SSL_set_max_proto_version(client, version),
         "make a client");
    SSL_set_connect_state(client);
    return client;
}

/* judge - a finished handshake */
static void judge(record *r, const connection *c, const SSL *client)
{
    const bool resumed = SSL_session_reused(client) != 0;

    r->finished++;
    r->resumed += resumed;
    r->faults += c->who == STRANGER && c->which == STRICT;
    r->faults += !resumed && !is_told_names(client);
    connection_ask(r, c);
}

/* connection_make - shakes hands with a client, which perhaps offers a session */
connection *connection_make(record *r)
{
    const enum who who = (enum who)below(r, CLIENTS);
    connection *c = new_connection((enum which)below(r, CONTEXTS), who);
    SSL_SESSION *session = below(r, 2) == 0 ? exchange_session(who, NULL) : NULL;
    SSL *client = new_client(who, session, below(r, 2) == 0 ? TLS1_2_VERSION : 0);

    if (is_finished(c->ssl, client)) {
        judge(r, c, client);
        if (SSL_SESSION_is_resumable(SSL_get_session(client)))
            (void)exchange_session(who, SSL_get1_session(client));
    } else {
        r->failed++;
        r->faults += who == NOBODY || c->which == STEADY;
        connection_free(c);
        c = NULL;
    }
    SSL_set_shutdown(client, SSL_SENT_SHUTDOWN); /* else its session is of no use any more */
    SSL_free(client);
    SSL_SESSION_free(session);
    return c;
}

void connections_clean_up(void)
{
    for (int i = 0; i < CLIENTS; i++)
        SSL_SESSION_free(offered[i]);
}
