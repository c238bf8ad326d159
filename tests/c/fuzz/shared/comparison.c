/* comparison - a chain and a trust file, judged by ccert and by OpenSSL alone.
 *
 * Each verdict gets certificates of its own: what OpenSSL caches in one must not help the other. */
#include "fuzz.h"

#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

/* OpenSSL is not instrumented, but what it says counts as coverage, too. */
#define ERRORS 128
#define DEPTHS 4
__attribute__((section("__libfuzzer_extra_counters"),
               used)) static unsigned char reached[2 * 2 * ERRORS * DEPTHS];

static void reach(bool setting, bool server, const judgement *judged)
{
    int depth = judged->depth < 0 ? 0 : judged->depth % DEPTHS;
    int row = ((setting * 2 + server) * ERRORS + judged->error % ERRORS) * DEPTHS;

    reached[row + depth] = 1;
}

static X509_STORE *judge_s_store(void)
{
    X509_STORE *store = X509_STORE_new();

    must(store != NULL, "make a store");
    if (!X509_STORE_load_file(store, trust_file_path())) {
        X509_STORE_free(store);
        store = NULL;
    }
    ERR_clear_error();
    return store;
}

/* decodes - for ccert and OpenSSL alike; what it is then says the same */
static bool decodes(octets der)
{
    const unsigned char *at = der.data;
    X509 *judged = d2i_X509(NULL, &at, (long)der.size);
    bool whole = judged != NULL && at == der.data + der.size;
    X509 *ours;

    ERR_clear_error();
    ours = ccert_certificate_new(der.data, der.size);
    claim((ours != NULL) == whole, "a certificate is decoded if OpenSSL decodes it");
    claim(ours == NULL || ERR_peek_error() == 0, "decoding a certificate leaves no errors");
    ERR_clear_error();
    if (whole) {
        unsigned char identity[CCERT_DIGEST_SIZE];
        bool invalid = (X509_get_extension_flags(judged) & EXFLAG_INVALID) != 0;
        bool server_only;

        queue_begin(); /* now: later OpenSSL has read the extensions already */
        server_only = ccert_certificate_lists_server_only(ours);
        (void)ccert_certificate_subject_hash(ours);
        (void)ccert_certificate_expiry(ours);
        queue_end("reading a certificate leaves the error queue alone");
        claim(server_only == (!invalid && judge_lists_server_only(judged)),
              "the EKU is what its OIDs say");
        claim(ccert_certificate_identity(ours, identity), "a certificate has an identity");
    }
    X509_free(judged);
    ccert_certificate_free(ours);
    return whole;
}

static void claim_names(const ccert_verdict *verdict)
{
    bool trusted = verdict->trust == CCERT_TRUSTED;

    claim(memchr(verdict->subject, 0, sizeof(verdict->subject)) != NULL
              && memchr(verdict->issuer, 0, sizeof(verdict->issuer)) != NULL,
          "a name has an end");
    claim(trusted || (verdict->subject[0] == 0 && verdict->issuer[0] == 0),
          "no names unless trusted");
    claim(trusted || verdict->names_size == 0, "no DNS names unless trusted");
    claim((verdict->names == NULL) == (verdict->names_size == 0), "DNS names and their size");
    claim(verdict->names_size == 0 || verdict->names[verdict->names_size - 1] == 0,
          "DNS names have an end");
}

/* claim_dns_names - X509_check_host(3) knows each of them.  It reads an empty one and one with a
 * dot in front otherwise. */
static void claim_dns_names(const ccert_verdict *verdict, X509 *leaf)
{
    const unsigned int flags = X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_WILDCARDS;

    for (size_t at = 0; at < verdict->names_size; at += strlen(verdict->names + at) + 1) {
        const char *name = verdict->names + at;

        claim(*name == 0 || *name == '.' || X509_check_host(leaf, name, 0, flags, NULL) == 1,
              "a DNS name is one of the certificate's");
    }
    ERR_clear_error();
}

static void claim_digest(const ccert_verdict *verdict, const X509 *leaf)
{
    unsigned char digest[EVP_MAX_MD_SIZE];

    must(X509_digest(leaf, EVP_sha256(), digest, NULL), "digest a certificate");
    claim(memcmp(digest, verdict->fingerprint, CCERT_DIGEST_SIZE) == 0, "the fingerprint");
}

static void verify(const ccert_verifier *verifier, X509_STORE *store, const chain *c, bool setting)
{
    X509 *sent[MOST_SENT];
    ccert_verdict verdict;
    const time_t now = time(NULL);
    judgement judged;
    bool server, spoiled, trusted;

    for (int i = 0; i < c->count; i++)
        must((sent[i] = ccert_certificate_new(c->sent[i].data, c->sent[i].size)) != NULL, "decode");
    claim(ccert_verifier_verify(verifier, setting, sent, c->count, now, &verdict),
          "there is a verdict, since there is memory");
    claim(ERR_peek_error() == 0, "a verification leaves the error queue empty");
    trusted = verdict.trust == CCERT_TRUSTED;
    claim(verdict.trust != CCERT_ANONYMOUS, "a client with a certificate is not Anonymous");

    server = setting && judge_lists_server_only(sent[0]);
    spoiled = (X509_get_extension_flags(sent[0]) & EXFLAG_INVALID) != 0;
    judged = judge_chain(store, c->sent, c->count, server, c->depth, c->level, now);
    claim(!trusted || judged.trusted, "never TRUSTED where openssl verify says no");
    claim(trusted || !judged.trusted, "never UNTRUSTED where openssl verify says yes");
    claim(!trusted || verdict.trusted_as_server == server, "trusted as what it is");
    claim(trusted || spoiled
              || (verdict.error_code == judged.error && verdict.error_depth == judged.depth),
          "the reason is openssl verify's");
    claim_names(&verdict);
    claim_dns_names(&verdict, sent[0]);
    claim_digest(&verdict, sent[0]);
    reach(setting, server, &judged);
    ccert_verdict_clear(&verdict);
    for (int i = 0; i < c->count; i++)
        ccert_certificate_free(sent[i]);
}

void compare(const chain *c)
{
    ccert_verifier *verifier;
    X509_STORE *store;
    bool decoded = c->count > 0;

    for (int i = 0; i < c->count; i++)
        decoded = decodes(c->sent[i]) && decoded;
    store = judge_s_store();
    verifier = ccert_verifier_new(c->depth, c->level);
    must(verifier != NULL, "make a verifier");
    claim(ccert_verifier_load(verifier, trust_file_path()) == (store != NULL),
          "a trust file is loaded if OpenSSL loads it");
    if (store != NULL && decoded) {
        verify(verifier, store, c, false);
        verify(verifier, store, c, true);
    }
    ccert_verifier_free(verifier);
    X509_STORE_free(store);
    ERR_clear_error();
}
