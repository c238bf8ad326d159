/* faults - what the files of this program share. */
#ifndef FAULTS_FAULTS_H
#define FAULTS_FAULTS_H

#include "internal.h"
#include "allocator.h"

/* What one allocation's failure led to. */
typedef enum {
    SAME,    /* the result is the one without the failure */
    REFUSED, /* it failed, and said so */
    /* What must not be: */
    TRUSTED,   /* a client without a trusted certificate is Trusted, or let in */
    UNTRUSTED, /* a trusted client is not, or not for the reason that there is */
    ANONYMOUS, /* the client's certificate has got lost */
    DIFFERENT, /* another fact differs */
    KEPT,      /* the session of a handshake that failed or is not trusted is there */
    HALF,      /* a policy is half installed */
    LASTING,   /* the next handshake, with memory, differs, too */
    OUTCOMES,
    NONE /* nothing failed: there are no more allocations */
} outcome;

#define WORST_ALLOWED REFUSED

enum mode { ASK, OPTIONAL, REQUIRE };

/* A variety of what is tried. */
typedef struct {
    int version; /* of TLS */
    enum mode mode;
    bool trusted; /* the client */
    bool resumed;
} variety;

/* main.c */
void must(bool ok, const char *what);

/* credentials.c: made once, borrowed by all */
typedef struct {
    EVP_PKEY *key;
    X509 *leaf, *issuer; /* issuer: NULL: the leaf itself */
} credentials;

void credentials_init(void);
void credentials_free(void);
X509 *credentials_anchor(void);
const credentials *credentials_of(bool trusted);
X509 *credentials_copy(X509 *certificate); /* decoded anew: nothing is cached in it; owned */

/* pair.c: a server and a client in memory */
typedef struct {
    SSL *server, *client;  /* server: NULL: it could not be made */
    bool finished, failed; /* the server's handshake */
    uintptr_t object;      /* for ccert_peer_new() */
} pair;

SSL_CTX *new_server(const variety *v);
SSL_CTX *new_client(const variety *v);
bool pair_make(pair *p, SSL_CTX *server, SSL_CTX *client, SSL_SESSION *session);
void pair_shake(pair *p);
SSL_SESSION *pair_session(const pair *p); /* the client's; owned */
void pair_end(pair *p);
void litter(void); /* leave an old entry about memory on the error queue */
outcome pair_judge(const pair *p, const variety *v);

/* connecting.c: used by the others, too */
int installs(SSL_CTX *ctx, const variety *v);
void install(SSL_CTX *ctx, const variety *v);
outcome shake_well(SSL_CTX *server, SSL_CTX *client, const variety *v, SSL_SESSION **session);
bool same_verdict(const ccert_verdict *a, const ccert_verdict *b);
outcome differs(const ccert_verdict *verdict, const variety *v);

/* each attempt returns what the fault led to, or NONE */
outcome attempt_handshake(const variety *v, const fault *f);
outcome attempt_peer(const variety *v, const fault *f);
outcome attempt_attach(const variety *v, const fault *f);
outcome attempt_renew(const variety *v, const fault *f);
outcome attempt_detach(const variety *v, const fault *f);
outcome attempt_ca_names(const variety *v, const fault *f);
outcome attempt_verify(const variety *v, const fault *f);

#endif
