/* floor - how much does verification cost beyond the signatures that must be checked anyway?
 *
 * Usage: floor LEAF.der INTERMEDIATE.der ROOT.pem ROUNDS ITERATIONS.  Two loops take turns, so that
 * a busy or throttled machine slows both: the bare checks of the chain's two signatures, with
 * everything else done beforehand, and ccert_verifier_verify() on certificates that are decoded.
 *
 * The last line has the medians: ns of the checks, ns of the verification, ratio of a round's two.
 */
#define _POSIX_C_SOURCE 200809L /* clock_gettime */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#define ROUNDS 1000 /* at most */

typedef struct {
    unsigned char *tbs;
    size_t size;
    const ASN1_BIT_STRING *signature; /* borrowed */
    EVP_PKEY *signer;                 /* borrowed */
} claim;

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    (void)fprintf(stderr, "floor: cannot %s\n", what);
    ERR_print_errors_fp(stderr);
    exit(2);
}

static X509 *read_certificate(const char *path, bool pem)
{
    BIO *file = BIO_new_file(path, "rb");
    X509 *certificate;

    must(file != NULL, path);
    certificate = pem ? PEM_read_bio_X509(file, NULL, NULL, NULL) : d2i_X509_bio(file, NULL);
    must(certificate != NULL, path);
    BIO_free(file);
    return certificate;
}

/* claim_of - what a signature says of whom; i2d_re_X509_tbs() drops the encoding that the X509
 * keeps, after which each verification would encode anew, so it gets a copy */
static claim claim_of(X509 *certificate, X509 *issuer)
{
    claim c = {.signer = X509_get0_pubkey(issuer)};
    X509 *copy = X509_dup(certificate);
    int size = copy == NULL ? 0 : i2d_re_X509_tbs(copy, &c.tbs);

    X509_free(copy);
    must(size > 0 && c.signer != NULL, "take a certificate apart");
    c.size = (size_t)size;
    X509_get0_signature(&c.signature, NULL, certificate);
    return c;
}

static void check(const claim *c)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();

    must(context != NULL && EVP_DigestVerifyInit(context, NULL, ccert_sha256(), NULL, c->signer) > 0
             && EVP_DigestVerify(context, ASN1_STRING_get0_data(c->signature),
                                 (size_t)ASN1_STRING_length(c->signature), c->tbs, c->size)
                    > 0,
         "verify a signature");
    EVP_MD_CTX_free(context);
}

static void verify(ccert_verifier *verifier, X509 *const chain[2])
{
    ccert_verdict verdict;

    must(ccert_verifier_verify(verifier, 1, chain, 2, (int64_t)time(NULL), &verdict)
             && verdict.trust == CCERT_TRUSTED && verdict.trusted_as_server,
         "verify the chain");
}

static double now(void)
{
    struct timespec t;

    must(clock_gettime(CLOCK_MONOTONIC, &t) == 0, "read the clock");
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof(*values), ascending);
    return values[count / 2];
}

int main(int argc, char **argv)
{
    static double floor_ns[ROUNDS], verify_ns[ROUNDS], ratio[ROUNDS];
    int rounds = argc == 6 ? atoi(argv[4]) : 0, iterations = argc == 6 ? atoi(argv[5]) : 0;
    ccert_verifier *verifier;
    X509 *chain[2], *root;
    claim claims[2];

    must(rounds > 0 && rounds <= ROUNDS && iterations > 0, "read the arguments");
    must(ccert_init() > 0, "initialise");
    chain[0] = read_certificate(argv[1], false);
    chain[1] = read_certificate(argv[2], false);
    root = read_certificate(argv[3], true);
    claims[0] = claim_of(chain[0], chain[1]);
    claims[1] = claim_of(chain[1], root);
    verifier = ccert_verifier_new(9, 2);
    must(verifier != NULL && ccert_verifier_load(verifier, argv[3]), "load the root");

    for (int round = 0; round < rounds; round++) {
        double start = now(), middle;

        for (int i = 0; i < iterations; i++) {
            check(&claims[0]);
            check(&claims[1]);
        }
        middle = now();
        for (int i = 0; i < iterations; i++)
            verify(verifier, chain);
        floor_ns[round] = (middle - start) / iterations;
        verify_ns[round] = (now() - middle) / iterations;
        ratio[round] = verify_ns[round] / floor_ns[round];
    }
    (void)printf("%.0f %.0f %.3f\n", median(floor_ns, rounds), median(verify_ns, rounds),
                 median(ratio, rounds));

    ccert_verifier_free(verifier);
    for (int i = 0; i < 2; i++) {
        OPENSSL_free(claims[i].tbs);
        X509_free(chain[i]);
    }
    X509_free(root);
    return 0;
}
