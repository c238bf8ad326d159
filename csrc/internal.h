/* internal - declarations for the C files and the C tests; Python does not see them. */
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
#define CCERT_INSTANCE_SIZE 16
#define CCERT_NAME_SIZE (5 + TLSEXT_MAXLEN_host_name) /* largest server_name extension */

/* The policy of one SSL_CTX.  Immutable once published. */
typedef struct ccert_policy {
    struct ccert_policy *retired;                /* private: the next policy to be freed */
    unsigned char instance[CCERT_INSTANCE_SIZE]; /* random: unique, also across processes */
    bool trust_server_ccerts;
    bool observe;
    bool ask;
} ccert_policy;

/* The names of CAs that were loaded after ccert was attached, and of those before.  Immutable once
 * published. */
typedef struct ccert_ca_names {
    struct ccert_ca_names *retired; /* private: the next to be freed */
    STACK_OF(X509_NAME) * list;     /* owned */
} ccert_ca_names;

/* All that ccert attaches to an SSL_CTX; freed with it. */
typedef struct ccert_context {
    _Atomic(ccert_policy *) policy;     /* NULL: detached */
    _Atomic(ccert_ca_names *) ca_names; /* NULL: those of the SSL_CTX */
    atomic_uint readers;                /* callbacks between enter and leave */
    atomic_uint epoch;                  /* session.c: an increment ends all sessions */
    atomic_uint_fast64_t verified, trusted, trusted_as_server, untrusted;
    /* private to context.c and policy.c, whose callers must not run concurrently */
    ccert_policy *retired;
    ccert_ca_names *retired_names;
    bool installed;
    uint64_t saved_options;
    size_t saved_num_tickets;
    long saved_cache_size;
    long saved_cache_mode;
    int saved_depth;
} ccert_context;

/* ccert's record of one SSL; freed with it.  Written by the thread that performs the handshake,
 * read by peer.c after the handshake. */
typedef struct ccert_connection {
    SSL *ssl;         /* connection.c; the SSL of this record, borrowed */
    uintptr_t object; /* connection.c; the address of the Python object that wraps it */
    /* session.c, when a ClientHello comes */
    SSL_CTX *home;       /* borrowed; it made the SSL and answered; NULL: another answered */
    unsigned char *name; /* owned; the server_name extension, NULL: none */
    size_t name_size;
    unsigned char instance[CCERT_INSTANCE_SIZE]; /* of the policy that answered */
    /* session.c, in the course of the handshake */
    bool away;          /* seen in an SSL_CTX other than home: see session.c */
    bool refused;       /* closed, because its session must not resume here */
    bool finished;      /* the handshake */
    bool failed;        /* a fatal alert was sent or received */
    bool cut;           /* the client ended the connection without close_notify */
    SSL_SESSION *spare; /* owned; a copy of the stored session, see keeping.c */
    /* session.c and verify.c: from the policy that answered, later from the one that verified */
    bool trust_server_ccerts;
    bool observe;
    /* verify.c, when it verified a certificate of this handshake */
    bool verified;
    bool swapped; /* as a server's chain */
    int error_depth;
    char *error_issuer; /* owned; of the certificate at error_depth; NULL: it is trusted */
    int64_t expiry;     /* time_t of the first notAfter in the chain */
} ccert_connection;

/* digest.c */
int ccert_digest_init(void);
const EVP_MD *ccert_sha256(void); /* borrowed */
int ccert_digest(const void *data, size_t size, unsigned char out[CCERT_DIGEST_SIZE]);

/* connection.c */
int ccert_connection_init(void);
ccert_connection *ccert_connection_peek(const SSL *ssl);
ccert_connection *ccert_connection_get0(SSL *ssl);

/* registry.c */
int ccert_registry_add(ccert_connection *connection);
void ccert_registry_remove(const ccert_connection *connection);
ccert_connection *ccert_registry_get0(uintptr_t object);

/* probe.c */
void ccert_probe_notice(const SSL *ssl);

/* context.c */
int ccert_context_init(void);
ccert_context *ccert_context_peek(const SSL_CTX *ctx);
ccert_context *ccert_context_get0(SSL_CTX *ctx);
void ccert_policy_publish(ccert_context *context, ccert_policy *policy);
void ccert_ca_names_publish(ccert_context *context, ccert_ca_names *names);
const ccert_policy *ccert_policy_enter(ccert_context *context);
void ccert_policy_leave(ccert_context *context);

/* ca_names.c */
int ccert_ca_names_send(SSL *ssl, ccert_context *context);
void ccert_ca_names_free(ccert_ca_names *names);

/* session.c */
int ccert_session_configure(SSL_CTX *ctx, ccert_context *context);
int ccert_session_restore(SSL_CTX *ctx, const ccert_context *context);
void ccert_session_flush(SSL_CTX *ctx);
bool ccert_session_is_guarded(const SSL *ssl);
bool ccert_session_has_current_policy(const ccert_connection *connection);
bool ccert_session_is_at_home(const SSL *ssl, const ccert_connection *connection);
int ccert_session_limit(SSL *ssl, const ccert_connection *connection, bool keep);

/* deadline.c */
int ccert_session_void(SSL_SESSION *session);
void ccert_session_expire(SSL_SESSION *session);
int ccert_session_shorten(SSL_SESSION *session, int64_t expiry);
int64_t ccert_session_expiry(SSL *ssl, SSL_SESSION *session);
bool ccert_session_has_ended(const SSL_SESSION *session);

/* keeping.c */
void ccert_keeping_alert(const SSL *ssl, ccert_connection *connection, int alert);
void ccert_keeping_store(const SSL *ssl, ccert_connection *connection, SSL_SESSION *session);
void ccert_keeping_spare(const SSL *ssl, ccert_connection *connection, const SSL_SESSION *session);
void ccert_keeping_end(SSL *ssl, const ccert_connection *connection);

/* mark.c */
int ccert_mark_init(void);
int ccert_mark_make(SSL_SESSION *session);
void ccert_mark_end(const SSL_SESSION *session);
bool ccert_mark_has_ended(const SSL_SESSION *session);

/* memory.c */
typedef struct {
    unsigned long newest; /* of the entries on the error queue; 0: none */
    bool suspicion;       /* memory has been short */
} ccert_watch;

ccert_watch ccert_memory_watch(void);
bool ccert_queue_tells_of_memory(unsigned long before);
bool ccert_memory_failed(const ccert_watch *watch, X509_STORE_CTX *sc, bool setting);
int ccert_memory_decoded(const X509 *certificate);
int ccert_memory_sufficed(X509 *anchor);
int ccert_memory_sufficed_for_all(X509_STORE *store);

/* server_name.c */
int ccert_server_name_keep(SSL *ssl, ccert_connection *connection);
bool ccert_server_name_kept(SSL *ssl, const ccert_connection *connection);

/* certificate.c */
int64_t ccert_time(const ASN1_TIME *time);
int64_t ccert_expiry(const X509 *certificate);

/* verdict.c */
int ccert_verdict_tell(X509 *leaf, long error_code, int error_depth, bool as_server,
                       ccert_verdict *verdict);

/* verify.c */
bool ccert_lists_server_only(X509 *leaf);
int ccert_verify(X509_STORE_CTX *sc, bool setting, bool *swapped);
int ccert_verify_callback(X509_STORE_CTX *sc, void *context);

#endif
