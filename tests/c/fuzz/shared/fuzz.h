/* fuzz - what the targets share.  Each of them is a file in the folder above, and defines
 * LLVMFuzzerTestOneInput(); libFuzzer (clang) calls it with one input after another. */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include "internal.h"

#define MOST_SENT 8 /* certificates */

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* claims.c: abort, unless it is so */
void must(bool ok, const char *what);     /* the test can go on */
void claim(bool holds, const char *what); /* ccert keeps what it promises */
void queue_begin(void);                   /* from here to there, the error queue ... */
void queue_end(const char *what);         /* ... is left as it was */

/* input.c: cut the input; what is missing is empty */
typedef struct {
    const unsigned char *data;
    size_t size;
} octets;

octets take(octets *input, size_t size);
unsigned int take_octet(octets *input);
octets take_block(octets *input); /* two octets of length in front */

/* trust_file.c: a file for ccert and for the judge; there is one, always at this path */
void trust_file_begin(void);
void trust_file_add(octets der, bool trusted); /* trusted: as a TRUSTED CERTIFICATE */
const char *trust_file_path(void);

/* judge.c: OpenSSL, which has never heard of ccert */
typedef struct {
    bool trusted;
    int error, depth;
} judgement;

bool judge_lists_server_only(const X509 *leaf);
judgement judge_chain(X509_STORE *store, const octets *sent, int count, bool as_server, int depth,
                      int level, time_t at);

/* comparison.c: of ccert's verdicts with the judge's, for both settings */
typedef struct {
    octets sent[MOST_SENT]; /* DER, leaf first */
    int count;
    int depth, level;
} chain;

void compare(const chain *c);

/* hello.c: the caller owns the data */
octets hello_with_server_name(octets hello, octets extension);

/* pair.c: a server with ccert's policy and a client, in memory */
typedef struct {
    SSL *server, *client;
    bool finished, failed; /* the server's handshake */
} pair;

void pair_init(void);              /* makes the client's certificate, which the server trusts */
SSL_CTX *new_server(bool retries); /* retries: with a HelloRetryRequest */
SSL_CTX *new_client(int version);
void pair_begin(pair *p, SSL_CTX *server, SSL_CTX *client, const char *name, SSL_SESSION *session);
void pair_say(pair *p); /* the client writes; what it wrote is for the server to read */
void pair_answer(pair *p);
void pair_shake(pair *p);
void pair_end(pair *p);
enum ccert_peer_result pair_peer(ccert_peer **peer);

#endif
