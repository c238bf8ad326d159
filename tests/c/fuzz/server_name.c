/* server_name - what a client says of the server's name, to a server with ccert's policy.
 *
 * Input: an octet of options; a first name, its length in two octets in front; a second name.  Real
 * clients use them as names; with RAW, they are server_name extensions as they stand. */
#include "fuzz.h"

#include <string.h>

#include <openssl/err.h>

enum option {
    RAW = 1,
    RETRY = 2, /* the server asks for a second ClientHello (TLS 1.3), which has the second name */
    OLD = 4,   /* TLS 1.2 */
};

#define LONGEST TLSEXT_MAXLEN_host_name

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    must(ccert_init(), "begin");
    pair_init();
    return 0;
}

/* -- extensions as they stand -- */

/* is_name - one host_name (RFC 6066, 3), which OpenSSL accepts even if it is empty */
static bool is_name(octets e)
{
    return e.size >= 5 && e.size <= 5 + LONGEST
           && (size_t)(e.data[0] << 8 | e.data[1]) == e.size - 2
           && e.data[2] == TLSEXT_NAMETYPE_host_name
           && (size_t)(e.data[3] << 8 | e.data[4]) == e.size - 5
           && memchr(e.data + 5, 0, e.size - 5) == NULL;
}

/* say_raw - pass on the client's ClientHello with this extension */
static void say_raw(pair *p, octets extension)
{
    char *said;
    long size;
    octets hello;

    pair_say(p);
    size = BIO_get_mem_data(SSL_get_wbio(p->client), &said);
    hello = (octets){(unsigned char *)said, (size_t)size};
    /* a second one may follow a ChangeCipherSpec, which has six octets */
    if (hello.size > 6 && hello.data[0] == SSL3_RT_CHANGE_CIPHER_SPEC)
        (void)take(&hello, 6);
    hello = hello_with_server_name(hello, extension);
    must(BIO_write(SSL_get_rbio(p->server), hello.data, (int)hello.size) == (int)hello.size,
         "say hello");
    (void)BIO_reset(SSL_get_wbio(p->client));
    OPENSSL_free((void *)(uintptr_t)hello.data);
    pair_answer(p);
}

static void claim_kept(const pair *p, octets said)
{
    const ccert_connection *connection = ccert_connection_peek(p->server);

    claim(p->failed == !is_name(said), "a handshake goes on if there is a name");
    if (p->failed)
        return;
    claim(connection != NULL && connection->name_size == said.size
              && memcmp(connection->name, said.data, said.size) == 0,
          "the extension is kept as it was sent");
    claim(ccert_server_name_kept(p->server, connection), "and is the final one");
}

static void try_raw(SSL_CTX *server, SSL_CTX *client, octets first, octets second, bool retry)
{
    pair p;

    pair_begin(&p, server, client, "", NULL);
    say_raw(&p, first);
    claim_kept(&p, first);
    if (!p.failed && retry) {
        say_raw(&p, second);
        claim_kept(&p, second);
    }
    pair_end(&p);
}

/* -- real clients -- */

/* meet - a whole handshake; 0: refused.  later: the name in a second ClientHello */
static bool meet(SSL_CTX *server, SSL_CTX *client, const char *name, const char *later,
                 SSL_SESSION **session, bool *resumed)
{
    const char *later_name;
    enum ccert_peer_result result;
    ccert_peer *peer = NULL;
    pair p;

    pair_begin(&p, server, client, name, *session);
    pair_say(&p);
    later_name = *later == 0 ? NULL : later;
    must(SSL_set_tlsext_host_name(p.client, later_name), "change the name");
    pair_shake(&p);
    result = pair_peer(&peer);
    claim(p.finished ? result == CCERT_PEER_OK || result == CCERT_PEER_REFUSED
                     : result == CCERT_PEER_HANDSHAKING || result == CCERT_PEER_UNKNOWN,
          "a peer is known after its handshake");
    if (peer != NULL) {
        claim(peer->verdict.trust == CCERT_TRUSTED && peer->verdict.trusted_as_server,
              "a trusted client is Trusted");
        claim(strcmp(peer->server_name, SSL_version(p.server) < TLS1_3_VERSION ? name : later) == 0,
              "the name is what the client said last");
        *resumed = peer->resumed != 0;
    }
    ccert_peer_free(peer);
    if (*session == NULL)
        *session = SSL_get1_session(p.client);
    pair_end(&p);
    return result == CCERT_PEER_OK;
}

static void try_real(SSL_CTX *server, SSL_CTX *client, const char *first, const char *second,
                     bool retry)
{
    const bool same = strcmp(first, second) == 0;
    SSL_SESSION *session = NULL;
    bool resumed = false;

    claim(meet(server, client, first, first, &session, &resumed) && !resumed, "a first handshake");
    must(session != NULL && SSL_SESSION_is_resumable(session), "get a session");
    claim(meet(server, client, second, second, &session, &resumed), "a second handshake");
    claim(resumed == same, "a session resumes for its name only");
    if (retry) {
        resumed = false;
        (void)meet(server, client, first, second, &session, &resumed);
        claim(!resumed || same, "nor does a second ClientHello help");
    }
    SSL_SESSION_free(session);
}

static void to_name(octets said, char name[LONGEST + 1])
{
    octets cut = take(&said, LONGEST);

    if (cut.size > 0)
        memcpy(name, cut.data, cut.size);
    name[cut.size] = 0; /* or a NUL before */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    octets second = {data, size}, first;
    unsigned int options = take_octet(&second);
    bool old = (options & OLD) != 0, retry = !old && (options & RETRY) != 0;
    SSL_CTX *server = new_server(retry),
            *client = new_client(old ? TLS1_2_VERSION : TLS1_3_VERSION);
    char names[2][LONGEST + 1];

    first = take_block(&second);
    to_name(first, names[0]);
    to_name(second, names[1]);
    if ((options & RAW) != 0)
        try_raw(server, client, first, second, retry);
    else
        try_real(server, client, names[0], names[1], retry);
    SSL_CTX_free(server);
    SSL_CTX_free(client);
    return 0;
}
