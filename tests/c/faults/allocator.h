/* allocator - one that fails on demand: OpenSSL's, and the calloc() of our own files. */
#ifndef FAULTS_ALLOCATOR_H
#define FAULTS_ALLOCATOR_H

#include <stdbool.h>
#include <stddef.h>

/* The allocation that fails, counted from 1 while the allocator is armed. */
typedef struct {
    size_t nth;
    bool lasting; /* and all after it */
} fault;

int allocator_init(void); /* before any other call of OpenSSL */
void allocator_arm(const fault *f);
void allocator_rest(void);   /* if armed: do not count or fail what follows */
void allocator_resume(void); /* if armed: count and fail again */
bool allocator_disarm(void); /* has an allocation failed since it was armed? */

#endif
