/* pair - the server trusts the client's certificate, which lists serverAuth only, and is its own
 * anchor.  There is one pair at a time. */
#include "fuzz.h"

#include <time.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#define STEPS 12 /* more than any handshake takes */

static EVP_PKEY *key;
static X509 *certificate; /* of client and server */
static int object;        /* the address stands for a Python object's */

void pair_init(void)
{
    static const unsigned char name[] = "mx.example";
    X509_NAME *subject = X509_NAME_new();
    X509_EXTENSION *eku = X509V3_EXT_conf_nid(NULL, NULL, NID_ext_key_usage, "serverAuth");

    key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    certificate = X509_new();
    must(key != NULL && certificate != NULL && subject != NULL && eku != NULL
             && X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_ASC, name, -1, -1, 0)
             && X509_set_version(certificate, X509_VERSION_3)
             && ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1)
             && X509_set_subject_name(certificate, subject)
             && X509_set_issuer_name(certificate, subject)
             && ASN1_TIME_adj(X509_getm_notBefore(certificate), time(NULL), -1, 0) != NULL
             && ASN1_TIME_adj(X509_getm_notAfter(certificate), time(NULL), 30, 0) != NULL
             && X509_set_pubkey(certificate, key) && X509_add_ext(certificate, eku, -1)
             && X509_sign(certificate, key, NULL) > 0,
         "make a certificate");
    X509_EXTENSION_free(eku);
    X509_NAME_free(subject);
}

static SSL_CTX *new_context(const SSL_METHOD *method, const char *groups)
{
    SSL_CTX *ctx = SSL_CTX_new(method);

    must(ctx != NULL && SSL_CTX_use_certificate(ctx, certificate)
             && SSL_CTX_use_PrivateKey(ctx, key) && SSL_CTX_set1_groups_list(ctx, groups),
         "make an SSL_CTX");
    return ctx;
}

/* accept_name - as Python's sni_callback; without one, libssl does not keep the name */
static int accept_name(SSL *ssl, int *alert, void *arg)
{
    (void)ssl, (void)alert, (void)arg;
    return SSL_TLSEXT_ERR_OK;
}

SSL_CTX *new_server(bool retries)
{
    const ccert_settings settings = {.trust_server_ccerts = 1, .ask = 1, .verify_depth = 9};
    SSL_CTX *ctx = new_context(TLS_server_method(), retries ? "P-256" : "X25519:P-256");

    must(X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), certificate), "trust a certificate");
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_tlsext_servername_callback(ctx, accept_name);
    must(ccert_policy_install(ctx, &settings), "install the policy");
    return ctx;
}

SSL_CTX *new_client(int version)
{
    SSL_CTX *ctx = new_context(TLS_client_method(), "X25519:P-256");

    must(SSL_CTX_set_min_proto_version(ctx, version) && SSL_CTX_set_max_proto_version(ctx, version),
         "choose a version");
    return ctx;
}

static SSL *new_end(SSL_CTX *ctx)
{
    SSL *ssl = SSL_new(ctx);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());

    must(ssl != NULL && in != NULL && out != NULL, "make an SSL");
    SSL_set_bio(ssl, in, out);
    return ssl;
}

void pair_begin(pair *p, SSL_CTX *server, SSL_CTX *client, const char *name, SSL_SESSION *session)
{
    *p = (pair){.server = new_end(server), .client = new_end(client)};
    must(SSL_set_app_data(p->server, &object)
             && (*name == 0 || SSL_set_tlsext_host_name(p->client, name))
             && (session == NULL || SSL_set_session(p->client, session)),
         "begin a handshake");
    SSL_set_accept_state(p->server);
    SSL_set_connect_state(p->client);
}

static void move(SSL *from, SSL *to)
{
    char *said;
    long size = BIO_get_mem_data(SSL_get_wbio(from), &said);

    if (size > 0)
        must(BIO_write(SSL_get_rbio(to), said, (int)size) == size, "pass on octets");
    (void)BIO_reset(SSL_get_wbio(from));
}

void pair_say(pair *p)
{
    ERR_clear_error();
    (void)SSL_do_handshake(p->client); /* if it fails, its alert is there to be read */
    ERR_clear_error();
}

void pair_answer(pair *p)
{
    int result = SSL_do_handshake(p->server);

    p->finished = result == 1;
    p->failed = result != 1 && SSL_get_error(p->server, result) != SSL_ERROR_WANT_READ;
    claim(p->failed || ERR_peek_error() == 0, "a handshake that goes on leaves no errors");
    ERR_clear_error();
    move(p->server, p->client);
}

void pair_shake(pair *p)
{
    char octet;

    for (int i = 0; i < STEPS && !p->finished && !p->failed; i++) {
        pair_say(p);
        move(p->client, p->server);
        pair_answer(p);
    }
    pair_say(p);
    (void)SSL_read(p->client, &octet, 1); /* TLS 1.3's ticket; there is no data */
    ERR_clear_error();
}

void pair_end(pair *p)
{
    SSL_free(p->server);
    SSL_set_shutdown(p->client, SSL_SENT_SHUTDOWN); /* else its session is of no use any more */
    SSL_free(p->client);
    ERR_clear_error();
}

enum ccert_peer_result pair_peer(ccert_peer **peer)
{
    enum ccert_peer_result result;

    ERR_clear_error();
    result = ccert_peer_new((uintptr_t)&object, peer);
    claim(ERR_peek_error() == 0, "reading a peer leaves the error queue empty");
    return result;
}
