/* handshake - TLS handshakes between two SSL_CTX in one thread, joined by memory: the bare loop.
 *
 * A shared library for the benches.  The SSL_CTX are those of Python's ssl.SSLContext objects, so
 * settings, certificates and libssl are the same as in Python by construction.  What the server
 * does is timed, and counted where callgrind is watching (with --collect-atstart=no).  Functions
 * return 0 when a handshake went otherwise than it should have.
 */
#define _POSIX_C_SOURCE 200809L       /* clock_gettime */
#define OPENSSL_SUPPRESS_DEPRECATED 1 /* RAND_METHOD: how else would signatures be the same? */
#include <stdint.h>
#include <time.h>

#include <valgrind/callgrind.h>

#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#define STEPS 10 /* at most, by each end */

/* What all handshakes of a loop have in common. */
typedef struct {
    SSL_CTX *server, *client; /* borrowed */
    const char *name;         /* server_name, borrowed */
    SSL_SESSION *session;     /* the newest, to resume; NULL: full handshakes */
    int64_t server_ns;        /* how long the server's side took in all */
} handshakes;

/* -- the server's side -- */

static int64_t now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void server_begins(handshakes *h)
{
    h->server_ns -= now();
    CALLGRIND_TOGGLE_COLLECT;
}

static void server_ends(handshakes *h)
{
    CALLGRIND_TOGGLE_COLLECT;
    h->server_ns += now();
}

/* server_new - takes both BIOs; the id context is for each connection, as CPython has it */
static SSL *server_new(handshakes *h, BIO *in, BIO *out)
{
    static const unsigned char id_context[] = "Python";
    SSL *ssl;

    server_begins(h);
    ssl = SSL_new(h->server);
    if (ssl != NULL) {
        (void)SSL_set_session_id_context(ssl, id_context, sizeof(id_context) - 1);
        SSL_set_bio(ssl, in, out);
        SSL_set_accept_state(ssl);
    }
    server_ends(h);
    return ssl;
}

static int server_step(handshakes *h, SSL *ssl)
{
    int result;

    server_begins(h);
    result = SSL_do_handshake(ssl);
    server_ends(h);
    return result;
}

/* server_free - as after close_notify: otherwise libssl drops the session */
static void server_free(handshakes *h, SSL *ssl)
{
    server_begins(h);
    SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(ssl);
    server_ends(h);
}

/* -- both ends -- */

static SSL *client_new(const handshakes *h, BIO *in, BIO *out)
{
    SSL *ssl = SSL_new(h->client);

    if (ssl == NULL)
        return NULL;
    SSL_set_bio(ssl, in, out);
    SSL_set_connect_state(ssl);
    if (SSL_set_tlsext_host_name(ssl, h->name) && SSL_set1_host(ssl, h->name)
        && (h->session == NULL || SSL_set_session(ssl, h->session)))
        return ssl;
    SSL_free(ssl);
    return NULL;
}

/* step_both - until both are done; the client goes first */
static int step_both(handshakes *h, SSL *server, SSL *client)
{
    for (int i = 0; i < STEPS; i++) {
        int done = SSL_do_handshake(client) == 1;

        if (server_step(h, server) == 1 && done)
            return 1;
    }
    return 0;
}

/* is_as_wanted - both certificates are trusted, and the session is resumed if and only if it should
 * have been */
static int is_as_wanted(const handshakes *h, SSL *server, SSL *client)
{
    return SSL_get_verify_result(server) == X509_V_OK && SSL_get0_peer_certificate(server) != NULL
           && SSL_get_verify_result(client) == X509_V_OK
           && SSL_session_reused(server) == (h->session != NULL);
}

/* take_session - let the client read its tickets, and keep the session with the newest */
static int take_session(handshakes *h, SSL *client)
{
    char octet;

    if (SSL_read(client, &octet, 1) > 0)
        return 0;
    SSL_SESSION_free(h->session);
    h->session = SSL_get1_session(client);
    return h->session != NULL && SSL_SESSION_is_resumable(h->session);
}

static int one(handshakes *h, int keep_session)
{
    BIO *to_server = BIO_new(BIO_s_mem()), *to_client = BIO_new(BIO_s_mem());
    SSL *server, *client;
    int ok;

    if (to_server == NULL || to_client == NULL)
        return 0;
    BIO_up_ref(to_server);
    BIO_up_ref(to_client);
    server = server_new(h, to_server, to_client);
    client = client_new(h, to_client, to_server);
    if (server == NULL || client == NULL)
        return 0;
    ok = step_both(h, server, client) && is_as_wanted(h, server, client)
         && (!keep_session || take_session(h, client));
    server_free(h, server);
    SSL_set_shutdown(client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(client);
    return ok;
}

/* -- randomness that is the same in each run: signatures then cost the same -- */

static uint64_t state;

static int fill(unsigned char *out, int size)
{
    for (int i = 0; i < size; i++) {
        state ^= state << 13; /* xorshift64 */
        state ^= state >> 7;
        state ^= state << 17;
        out[i] = (unsigned char)(state >> 32);
    }
    return 1;
}

static int status(void)
{
    return 1;
}

int handshake_make_deterministic(void)
{
    static const RAND_METHOD method = {.bytes = fill, .pseudorand = fill, .status = status};

    state = 1;
    return RAND_set_rand_method(&method);
}

/* -- what Python calls -- */

handshakes *handshake_new(SSL_CTX *server, SSL_CTX *client, const char *name)
{
    handshakes *h = OPENSSL_zalloc(sizeof(*h));

    if (h != NULL)
        *h = (handshakes){.server = server, .client = client, .name = name};
    return h;
}

void handshake_free(handshakes *h)
{
    SSL_SESSION_free(h->session);
    OPENSSL_free(h);
}

/* handshake_begin_session - shake hands in full, and resume that from now on */
int handshake_begin_session(handshakes *h)
{
    return one(h, 1);
}

int handshake_loop(handshakes *h, int count)
{
    while (count-- > 0)
        if (!one(h, h->session != NULL))
            return 0;
    return 1;
}

/* handshake_counted - as a part of callgrind's profile that has this name */
int handshake_counted(handshakes *h, int count, const char *name)
{
    int ok;

    state = 1;
    CALLGRIND_ZERO_STATS;
    ok = handshake_loop(h, count);
    CALLGRIND_DUMP_STATS_AT(name);
    return ok;
}

int64_t handshake_server_ns(handshakes *h)
{
    return h->server_ns;
}

/* handshake_expect_servers - have stock OpenSSL verify all clients as openssl verify -purpose
 * sslserver does */
int handshake_expect_servers(SSL_CTX *ctx)
{
    return SSL_CTX_set_purpose(ctx, X509_PURPOSE_SSL_SERVER)
           && SSL_CTX_set_trust(ctx, X509_TRUST_SSL_SERVER);
}
