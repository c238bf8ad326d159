/* internal - what the C files share with each other and the C tests, and Python never sees. */
#ifndef CCERT_INTERNAL_H
#define CCERT_INTERNAL_H

#include "ccert.h"

#include <stdatomic.h>
#include <stdbool.h>

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/tls1.h>
#include <openssl/x509.h>

#define CCERT_DIGEST_SIZE 32
#define CCERT_NAME_SIZE (5 + TLSEXT_MAXLEN_host_name) /* of a server_name extension, at most */

/* One setting of one SSL_CTX.  Immutable once published. */
typedef struct ccert_policy {
    struct ccert_policy *retired; /* private: the next policy that waits to be freed */
    uint64_t generation;          /* unique in this process, never 0 */
    bool trust_server_ccerts;
    bool observe;
    bool ask;
    unsigned char digest[CCERT_DIGEST_SIZE]; /* of settings and trust material */
} ccert_policy;

/* All that ccert hangs on an SSL_CTX; freed with it. */
typedef struct ccert_context {
    _Atomic(ccert_policy *) policy; /* NULL: detached */
    atomic_uint readers;            /* callbacks between enter and leave */
    atomic_uint_fast64_t verified, trusted, trusted_as_server, untrusted;
    /* private to context.c and policy.c, whose callers take turns */
    ccert_policy *retired;
    bool installed;
    uint64_t saved_options;
    size_t saved_num_tickets;
    long saved_cache_size;
    int saved_depth;
} ccert_context;

/* Written by the thread that performs the handshake, read when it is over. */
struct ccert_connection {
    atomic_uint references;
    _Atomic(SSL *) ssl;       /* borrowed; NULL once OpenSSL has freed it */
    uint64_t generation;      /* the policy that answered the ClientHello, 0: none */
    bool trust_server_ccerts; /* ... and its setting */
    bool observe;             /* likewise */
    bool verified;            /* the callback ran in this handshake, and: */
    bool swapped;             /* it asked for a server's chain */
    int error_depth;
    char *error_issuer;  /* owned; of the certificate there, NULL: it is trusted */
    int64_t expiry;      /* time_t of the first notAfter in the chain */
    unsigned char *name; /* owned; the ClientHello's server_name extension, NULL: none */
    size_t name_size;
};

/* digest.c */
int ccert_digest_init(void);
const EVP_MD *ccert_sha256(void); /* borrowed */
int ccert_digest(const void *data, size_t size, unsigned char out[CCERT_DIGEST_SIZE]);

/* connection.c */
int ccert_connection_init(void);
ccert_connection *ccert_connection_get0(SSL *ssl);

/* probe.c */
void ccert_probe_notice(SSL *ssl);
void ccert_probe_forget(const SSL *ssl);

/* context.c */
int ccert_context_init(void);
ccert_context *ccert_context_get0(SSL_CTX *ctx);
void ccert_policy_publish(ccert_context *context, ccert_policy *policy);
const ccert_policy *ccert_policy_enter(ccert_context *context);
void ccert_policy_leave(ccert_context *context);

/* session.c */
int ccert_session_configure(SSL_CTX *ctx, ccert_context *context);
int ccert_session_restore(SSL_CTX *ctx, const ccert_context *context);
void ccert_session_flush(SSL_CTX *ctx);
int ccert_session_limit(SSL *ssl, const ccert_connection *connection, bool keep);
int64_t ccert_expiry(const X509 *certificate);

/* verdict.c */
int ccert_verdict_tell(const X509 *leaf, long error_code, int error_depth, bool as_server,
                       ccert_verdict *verdict);

/* verify.c */
bool ccert_lists_server_only(X509 *leaf);
int ccert_verify_callback(X509_STORE_CTX *sc, void *context);

#endif
