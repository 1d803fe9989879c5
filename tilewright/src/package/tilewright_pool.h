/* Threads for the functions of packages: C99 and C++ with POSIX threads, in one file. Compile and link with -pthread.
 *
 *     tilewright_pool *pool = tilewright_pool_create(8);
 *     tilewright_call call = TILEWRIGHT_CALL;
 *     call.parallel = tilewright_pool_parallel;
 *     call.pool = pool;
 *     ... mm(&a, &b, &c, &call) ...
 *     tilewright_pool_destroy(pool);
 *
 * One loop has the threads at a time: one that comes while another runs, or from inside of a body, runs on its caller. Any
 * number of threads may use a pool. Memory is allocated when a pool is created, not in a call. */
#ifndef TILEWRIGHT_POOL_H
#define TILEWRIGHT_POOL_H

#include "tilewright.h"

#include <pthread.h>
#include <stdlib.h>

typedef struct tilewright_pool {
    pthread_mutex_t lock;
    /* There is a loop, or the pool ends; the last part of a loop has been run. */
    pthread_cond_t work, done;
    pthread_t *threads;
    /* How many of them were started. */
    int count;
    int ends;
    /* The loop: nobody has begun the iterations from `next` on, and of those before, `running` parts are under way. */
    tilewright_body body;
    void *task;
    int64_t iterations, next, part;
    int running, is_busy;
} tilewright_pool;

/* Runs parts of the loop until none is left. The lock is held before and after. */
static inline void tilewright_pool_work(tilewright_pool *pool)
{
    while (pool->next < pool->iterations) {
        int64_t begin = pool->next;
        int64_t left = pool->iterations - begin;
        int64_t end = begin + (left < pool->part ? left : pool->part);
        tilewright_body body = pool->body;
        void *task = pool->task;
        pool->next = end;
        pool->running += 1;
        pthread_mutex_unlock(&pool->lock);
        body(task, begin, end);
        pthread_mutex_lock(&pool->lock);
        pool->running -= 1;
    }
    if (pool->running == 0)
        pthread_cond_signal(&pool->done);
}

static inline void *tilewright_pool_thread(void *argument)
{
    tilewright_pool *pool = (tilewright_pool *)argument;
    pthread_mutex_lock(&pool->lock);
    while (!pool->ends) {
        if (pool->next < pool->iterations)
            tilewright_pool_work(pool);
        else
            pthread_cond_wait(&pool->work, &pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* Ends the threads. No call may be using them. */
static inline void tilewright_pool_destroy(tilewright_pool *pool)
{
    int thread;
    if (pool == NULL)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->ends = 1;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (thread = 0; thread < pool->count; thread += 1)
        pthread_join(pool->threads[thread], NULL);
    pthread_cond_destroy(&pool->done);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
    free(pool->threads);
    free(pool);
}

/* A pool of so many threads, the calling one counted; NULL when there is no memory. Of threads that the system does not give
 * there are fewer. */
static inline tilewright_pool *tilewright_pool_create(int threads)
{
    tilewright_pool *pool = (tilewright_pool *)calloc(1, sizeof *pool);
    if (pool == NULL)
        return NULL;
    pool->threads = (pthread_t *)calloc((size_t)(threads > 1 ? threads : 1), sizeof *pool->threads);
    if (pool->threads == NULL || pthread_mutex_init(&pool->lock, NULL) != 0) {
        free(pool->threads);
        free(pool);
        return NULL;
    }
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->done, NULL);
    while (pool->count < threads - 1 &&
           pthread_create(&pool->threads[pool->count], NULL, tilewright_pool_thread, pool) == 0)
        pool->count += 1;
    return pool;
}

/* A tilewright_parallel, for tilewright_call. */
static inline void tilewright_pool_parallel(void *of, tilewright_body body, void *task, int64_t count)
{
    tilewright_pool *pool = (tilewright_pool *)of;
    int64_t parts;
    pthread_mutex_lock(&pool->lock);
    if (pool->is_busy || pool->count == 0) {
        pthread_mutex_unlock(&pool->lock);
        body(task, 0, count);
        return;
    }
    /* Several parts for each thread, so that one that is late leaves its share to the others. */
    parts = 4 * ((int64_t)pool->count + 1);
    pool->is_busy = 1;
    pool->body = body;
    pool->task = task;
    pool->next = 0;
    pool->iterations = count;
    pool->part = count / parts + (count % parts != 0);
    pthread_cond_broadcast(&pool->work);
    tilewright_pool_work(pool);
    while (pool->running > 0)
        pthread_cond_wait(&pool->done, &pool->lock);
    pool->is_busy = 0;
    pthread_mutex_unlock(&pool->lock);
}

#endif
