/* contexts - the SSL_CTXs of servers, which threads share and change, and of clients. */
#include "sharing.h"

#include <stdio.h>
#include <time.h>

#include <openssl/x509v3.h>

#define NAMES 100 /* to begin with: a long list is read for a long time */

SSL_CTX *servers[CONTEXTS], *clients[CLIENTS];
static EVP_PKEY *key; /* of all */
static X509 *member;

static X509 *new_certificate(const char *name)
{
    X509 *made = X509_new();
    X509_EXTENSION *eku = X509V3_EXT_conf_nid(NULL, NULL, NID_ext_key_usage, "serverAuth");

    must(made != NULL && eku != NULL && X509_set_version(made, X509_VERSION_3)
             && X509_NAME_add_entry_by_txt(X509_get_subject_name(made), "CN", MBSTRING_ASC,
                                           (const unsigned char *)name, -1, -1, 0)
             && X509_set_issuer_name(made, X509_get_subject_name(made))
             && ASN1_INTEGER_set(X509_get_serialNumber(made), 1)
             && ASN1_TIME_adj(X509_getm_notBefore(made), time(NULL), -1, 0) != NULL
             && ASN1_TIME_adj(X509_getm_notAfter(made), time(NULL), 30, 0) != NULL
             && X509_set_pubkey(made, key) && X509_add_ext(made, eku, -1)
             && X509_sign(made, key, NULL) > 0,
         "make a certificate");
    X509_EXTENSION_free(eku);
    return made;
}

static void trust(SSL_CTX *ctx, X509 *anchor)
{
    must(X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), anchor), "trust a certificate");
}

static void identify(SSL_CTX *ctx, X509 *certificate)
{
    must(SSL_CTX_use_certificate(ctx, certificate) && SSL_CTX_use_PrivateKey(ctx, key),
         "use a certificate");
}

void attach(record *r, enum which which)
{
    const ccert_settings settings = {
        .trust_server_ccerts = which == STEADY || below(r, 2) == 0,
        .ask = which == STEADY || (which == ANY && below(r, 2) == 0),
        .verify_depth = 9,
    };

    must(ccert_policy_install(servers[which], &settings), "attach");
}

void send_another_name(enum which which)
{
    static unsigned count;
    SSL_CTX *trusting = SSL_CTX_new(TLS_server_method());
    char name[16];
    X509 *ca;

    (void)snprintf(name, sizeof(name), "CA %u", count++);
    ca = new_certificate(name);
    must(trusting != NULL, "make an SSL_CTX");
    trust(trusting, ca);
    must(ccert_send_ca_names(servers[which], trusting), "send the name of a CA");
    SSL_CTX_free(trusting);
    X509_free(ca);
}

void contexts_init(void)
{
    const unsigned char id_context[] = "Python";
    record r = {.random = 1};
    X509 *stranger;

    key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    stranger = new_certificate("stranger");
    member = new_certificate("member");
    for (int i = 0; i < CLIENTS; i++)
        must((clients[i] = SSL_CTX_new(TLS_client_method())) != NULL, "make a client");
    identify(clients[MEMBER], member);
    identify(clients[STRANGER], stranger);
    for (int i = 0; i < CONTEXTS; i++) {
        must((servers[i] = SSL_CTX_new(TLS_server_method())) != NULL, "make a server");
        identify(servers[i], member);
        trust(servers[i], member);
        must(ccert_send_ca_names(servers[i], servers[i]), "send the name of a CA");
        must(SSL_CTX_set_session_id_context(servers[i], id_context, sizeof(id_context)),
             "do as Python does");
        SSL_CTX_set_verify(servers[i], SSL_VERIFY_PEER, NULL);
        attach(&r, (enum which)i);
        for (int n = 0; n < NAMES; n++)
            send_another_name((enum which)i);
    }
    X509_free(stranger);
}

bool is_told_names(const SSL *client)
{
    const STACK_OF(X509_NAME) *names = SSL_get0_peer_CA_list(client); /* borrowed */

    return sk_X509_NAME_num(names) > 0
           && X509_NAME_cmp(sk_X509_NAME_value(names, 0), X509_get_subject_name(member)) == 0;
}

void contexts_free(void)
{
    X509_free(member);
    for (int i = 0; i < CLIENTS; i++)
        SSL_CTX_free(clients[i]);
    for (int i = 0; i < CONTEXTS; i++)
        SSL_CTX_free(servers[i]);
    EVP_PKEY_free(key);
}
