/* ccert - every C name that Python may use.
 *
 * build_ffi.py derives cffi's cdef from this file, so it contains plain declarations only: no
 * OpenSSL structs or constants.  Functions return 1 on success and 0 on failure (the reason is in
 * OpenSSL's error queue, see ccert_error) unless stated otherwise.  _new and _get1 return an object
 * that the caller owns and frees with the matching _free; _get0 returns a borrowed one.
 */
#ifndef CCERT_H
#define CCERT_H

#include <stddef.h>
#include <stdint.h>

typedef struct ssl_st SSL;
typedef struct ssl_ctx_st SSL_CTX;

/* -- the library (library.c) -- */

int ccert_init(void);
void ccert_header_version(unsigned int *major, unsigned int *minor);
void ccert_library_version(unsigned int *major, unsigned int *minor);
const char *ccert_library_name(void);
const char *ccert_library_path(void);
/* Reads the oldest entry of this thread's error queue and clears the queue; 0: it was empty. */
int ccert_error(char *text, size_t size);

/* -- the SSL_CTX behind a Python context (probe.c) -- */

/* How many SSLs this thread has freed so far. */
uint64_t ccert_probe_count(void);
/* The SSL_CTX of the first SSL with this app_data that this thread has freed since that count;
 * NULL: none, or too many have been freed since. */
SSL_CTX *ccert_probe_get0_ctx(uint64_t since, uintptr_t object);

/* -- what ccert attaches to an SSL_CTX (policy.c, context.c) -- */

typedef struct {
    int trust_server_ccerts; /* verify serverAuth-only leaf certificates as a server's */
    int observe;             /* only report what that would change */
    int ask;                 /* continue the handshake after a failed verification */
    int verify_depth;        /* as Postfix counts it; OpenSSL's value is one more */
} ccert_settings;

typedef struct {
    uint64_t verified, trusted, trusted_as_server, untrusted;
} ccert_counters;

int ccert_policy_install(SSL_CTX *ctx, const ccert_settings *settings);
int ccert_policy_renew(SSL_CTX *ctx); /* same settings; earlier sessions do not resume */
int ccert_policy_remove(SSL_CTX *ctx);
int ccert_policy_counters(SSL_CTX *ctx, ccert_counters *counters);
int ccert_send_ca_names(SSL_CTX *ctx, const SSL_CTX *trusting);

/* -- the verdict on a certificate (verdict.c) -- */

enum ccert_trust { CCERT_ANONYMOUS, CCERT_UNTRUSTED, CCERT_TRUSTED };

typedef struct {
    enum ccert_trust trust;
    int trusted_as_server;
    long error_code;
    const char *error; /* static */
    int error_depth;   /* -1: unknown, as in a resumed session */
    char subject[256], issuer[256];
    unsigned char fingerprint[32], pubkey_fingerprint[32];
    /* owned: the leaf's DNS names as they stand, each with a NUL behind it; NULL: none, or not
     * trusted */
    char *names;
    size_t names_size;
} ccert_verdict;

void ccert_verdict_clear(ccert_verdict *verdict); /* frees what it owns, not itself */

/* -- facts about a finished handshake (peer.c) -- */

enum ccert_peer_result {
    CCERT_PEER_OK,
    CCERT_PEER_UNKNOWN,     /* no attached context has processed its ClientHello */
    CCERT_PEER_HANDSHAKING, /* not finished, or failed */
    CCERT_PEER_CLOSED,      /* we have sent close_notify */
    CCERT_PEER_REFUSED,     /* closed by ccert: its session must not resume here (session.c) */
    CCERT_PEER_ERROR        /* see ccert_error() */
};

typedef struct {
    char name[64], curve[64], digest[64];
    int bits;
} ccert_signature;

typedef struct {
    ccert_verdict verdict;
    char error_issuer[256]; /* of the certificate at error_depth, if this handshake verified it */
    int observed;           /* the policy only observes, and the client sent a certificate */
    int certificates;       /* how many the client sent, leaf first */
    unsigned char **der;
    int *der_size;
    int resumed;
    const char *protocol, *cipher; /* static */
    int cipher_bits, cipher_algorithm_bits;
    char key_exchange[64];
    ccert_signature server_signature, client_signature;
    char server_name[256];
} ccert_peer;

/* object: the address of the Python object that wraps the SSL (SSL_get_app_data(3)).  The object
 * must be alive. */
enum ccert_peer_result ccert_peer_new(uintptr_t object, ccert_peer **out);
void ccert_peer_free(ccert_peer *peer);

/* What runs between the two leaves this thread's error queue as it was.  0: tell nothing of the
 * peer, because the connection of that object was refused or, where only a verified certificate is
 * wanted, because it is not. */
int ccert_decoding_begin(uintptr_t object, int verified);
void ccert_decoding_end(void);

/* -- certificates in PEM text (pem.c) -- */

enum ccert_pem_result { CCERT_PEM_END, CCERT_PEM_CERTIFICATE, CCERT_PEM_BROKEN };

typedef struct ccert_pem ccert_pem;

ccert_pem *ccert_pem_new(const char *text, size_t size); /* text must outlive it */
void ccert_pem_free(ccert_pem *pem);
/* *der is valid until the next call; a broken block ends the iteration. */
enum ccert_pem_result ccert_pem_next(ccert_pem *pem, const unsigned char **der, size_t *size);

/* -- verification without a connection (certificate.c, chain.c) -- */

typedef struct x509_st X509;
typedef struct ccert_verifier ccert_verifier;

X509 *ccert_certificate_new(const unsigned char *der, size_t size);
void ccert_certificate_free(X509 *certificate);
/* Does its EKU list serverAuth and not clientAuth? */
int ccert_certificate_lists_server_only(X509 *certificate);
/* SHA-256 of subject and public key: equal for all certificates of one CA. */
int ccert_certificate_identity(X509 *certificate, unsigned char out[32]);
unsigned long ccert_certificate_subject_hash(X509 *certificate); /* openssl-rehash(1)'s; 0: none */
int64_t ccert_certificate_expiry(const X509 *certificate); /* notAfter as a time_t; 0: unreadable */

ccert_verifier *ccert_verifier_new(int verify_depth, int auth_level);
/* Verifies as the server of this connection does; NULL: unknown connection, or out of memory.
 * object: as for ccert_peer_new() */
ccert_verifier *ccert_verifier_of(uintptr_t object);
void ccert_verifier_free(ccert_verifier *verifier);
int ccert_verifier_load(ccert_verifier *verifier, const char *cafile);
int ccert_verifier_trust(ccert_verifier *verifier, X509 *anchor);
int ccert_verifier_anchors(ccert_verifier *verifier); /* how many it has loaded */
/* chain: as sent, leaf first.  at: time_t; *verdict is untouched on failure */
int ccert_verifier_verify(const ccert_verifier *verifier, int trust_server_ccerts,
                          X509 *const *chain, int count, int64_t at, ccert_verdict *verdict);
int ccert_verifier_verify_many(const ccert_verifier *verifier, int trust_server_ccerts,
                               X509 *const *chains, const int *counts, int number, int64_t at,
                               ccert_verdict *verdicts);

#endif
