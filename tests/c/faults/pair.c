/* pair - a server with ccert and a client, in one thread and in memory.  Only what the server
 * does is counted by the allocator; the client has always enough memory. */
#include "faults.h"

#include <openssl/err.h>

#define STEPS 12 /* more than any handshake takes */

static int object; /* the address stands for a Python object's; there is one connection at a time */

static void identify(SSL_CTX *ctx, const credentials *c)
{
    must(SSL_CTX_use_certificate(ctx, c->leaf) && SSL_CTX_use_PrivateKey(ctx, c->key)
             && (c->issuer == NULL || SSL_CTX_add1_chain_cert(ctx, c->issuer)),
         "use a certificate");
}

static SSL_CTX *new_context(const SSL_METHOD *method, const variety *v)
{
    SSL_CTX *ctx = SSL_CTX_new(method);

    must(ctx != NULL && SSL_CTX_set_min_proto_version(ctx, v->version)
             && SSL_CTX_set_max_proto_version(ctx, v->version),
         "make an SSL_CTX");
    return ctx;
}

/* new_server - not attached yet */
SSL_CTX *new_server(const variety *v)
{
    SSL_CTX *ctx = new_context(TLS_server_method(), v);
    X509 *anchor = credentials_copy(credentials_anchor());

    identify(ctx, credentials_of(true));
    must(X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), anchor), "trust a CA");
    X509_free(anchor);
    SSL_CTX_set_verify(
        ctx, SSL_VERIFY_PEER | (v->mode == REQUIRE ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
    return ctx;
}

SSL_CTX *new_client(const variety *v)
{
    SSL_CTX *ctx = new_context(TLS_client_method(), v);

    identify(ctx, credentials_of(v->trusted));
    return ctx;
}

/* make_server - its two BIOs belong to it */
static SSL *make_server(SSL_CTX *ctx)
{
    SSL *ssl = SSL_new(ctx);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());

    if (ssl == NULL || in == NULL || out == NULL || !SSL_set_app_data(ssl, &object)) {
        BIO_free(in);
        BIO_free(out);
        SSL_free(ssl);
        return NULL;
    }
    SSL_set_bio(ssl, in, out);
    SSL_set_accept_state(ssl);
    return ssl;
}

/* pair_make - the client's memory is the server's, the other way round */
bool pair_make(pair *p, SSL_CTX *server, SSL_CTX *client, SSL_SESSION *session)
{
    *p = (pair){.object = (uintptr_t)&object};
    p->server = make_server(server);
    allocator_rest();
    if (p->server == NULL)
        return false;
    p->client = SSL_new(client);
    must(p->client != NULL && SSL_set_tlsext_host_name(p->client, "mx.example")
             && (session == NULL || SSL_set_session(p->client, session))
             && BIO_up_ref(SSL_get_wbio(p->server)) && BIO_up_ref(SSL_get_rbio(p->server)),
         "make a client");
    SSL_set_bio(p->client, SSL_get_wbio(p->server), SSL_get_rbio(p->server));
    SSL_set_connect_state(p->client);
    return true;
}

/* step - as Python's do_handshake(): 1: finished, 0: more to be read, -1: failed */
static int step(SSL *ssl)
{
    int result = SSL_do_handshake(ssl);

    if (result == 1)
        return 1;
    return SSL_get_error(ssl, result) == SSL_ERROR_WANT_READ ? 0 : -1;
}

/* read_ticket - TLS 1.3's come behind the handshake */
static void read_ticket(SSL *client)
{
    char octet;

    (void)SSL_read(client, &octet, 1); /* there is no data */
    ERR_clear_error();
}

/* litter - it must not be taken for this connection's: libssl empties the queue, and so do we */
void litter(void)
{
    ERR_clear_error();
    ERR_raise(ERR_LIB_X509, ERR_R_MALLOC_FAILURE);
}

/* pair_shake - the allocator is armed while the server runs, if the caller has armed it */
void pair_shake(pair *p)
{
    int client = 0, server = 0;

    for (int i = 0; i < STEPS && server == 0; i++) {
        allocator_rest();
        if (client == 0)
            client = step(p->client); /* if it fails, its alert is there to be read */
        litter();
        allocator_resume();
        server = step(p->server);
    }
    allocator_rest();
    p->finished = server == 1;
    p->failed = server == -1;
    ERR_clear_error();
    if (p->finished) {
        (void)step(p->client);
        read_ticket(p->client);
    }
}

SSL_SESSION *pair_session(const pair *p)
{
    SSL_SESSION *session = SSL_get1_session(p->client);

    must(session != NULL && SSL_SESSION_is_resumable(session), "get a session");
    return session;
}

/* pair_end - it just ends, without close_notify; the server's end is counted, too */
void pair_end(pair *p)
{
    allocator_resume();
    SSL_free(p->server);
    allocator_rest();
    if (p->client != NULL) /* else libssl marks the session that we may have taken */
        SSL_set_shutdown(p->client, SSL_SENT_SHUTDOWN);
    SSL_free(p->client);
    ERR_clear_error();
}

static outcome judge_verdict(const ccert_verdict *verdict, bool trusted)
{
    if (verdict->trust == CCERT_ANONYMOUS)
        return ANONYMOUS;
    if (!trusted && verdict->trust == CCERT_TRUSTED)
        return TRUSTED;
    if (trusted && verdict->trust == CCERT_UNTRUSTED)
        return UNTRUSTED;
    if (!trusted && verdict->error_code != X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT)
        return UNTRUSTED;
    return SAME;
}

/* pair_judge - what came out, with memory again */
outcome pair_judge(const pair *p, const variety *v)
{
    bool let_in = v->trusted || v->mode == ASK;
    enum ccert_peer_result result;
    ccert_peer *peer;
    outcome found;

    if (p->server == NULL)
        return REFUSED;
    litter();
    result = ccert_peer_new(p->object, &peer);
    if (!p->finished || result == CCERT_PEER_REFUSED) {
        if (peer != NULL)
            found = DIFFERENT;
        else
            found = let_in ? REFUSED : SAME;
    } else if (!let_in)
        found = TRUSTED;
    else
        found = result == CCERT_PEER_OK ? judge_verdict(&peer->verdict, v->trusted) : DIFFERENT;
    ccert_peer_free(peer);
    ERR_clear_error();
    return found;
}
