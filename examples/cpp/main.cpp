// A kernel of a package in a C++ program, on threads of its own.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "mm.h"

namespace {

// A row-major matrix.
struct Matrix {
    std::int64_t shape[2];
    std::vector<float> elements;

    Matrix(std::int64_t rows, std::int64_t columns) : shape{rows, columns}, elements(std::size_t(rows * columns)) {}

    // What the library takes; it only reads inputs.
    tilewright_tensor tensor() const { return {const_cast<float *>(elements.data()), shape, nullptr}; }
};

// A tilewright_parallel of new threads for every loop. A program that calls often keeps its threads: see tilewright_pool.h.
void on_threads(void *threads, tilewright_body body, void *task, std::int64_t count)
{
    const std::int64_t parts = std::min(*static_cast<const std::int64_t *>(threads), count);
    std::vector<std::thread> running;
    for (std::int64_t part = 1; part < parts; ++part)
        running.emplace_back(body, task, count * part / parts, count * (part + 1) / parts);
    body(task, 0, count / parts);
    for (std::thread &thread : running)
        thread.join();
}

Matrix multiply(const Matrix &a, const Matrix &b, const tilewright_call *call)
{
    Matrix c(a.shape[0], b.shape[1]);
    const tilewright_tensor tensors[] = {a.tensor(), b.tensor(), c.tensor()};
    const int status = mm(&tensors[0], &tensors[1], &tensors[2], call);
    if (status != TILEWRIGHT_OK)
        throw std::invalid_argument(mm_error_text(status));
    return c;
}

Matrix some_matrix(std::int64_t rows, std::int64_t columns, unsigned seed)
{
    Matrix matrix(rows, columns);
    for (float &element : matrix.elements) {
        seed = seed * 1664525u + 1013904223u;
        element = float(seed >> 16) / 32768.0f - 1.0f;
    }
    return matrix;
}

bool is_product(const Matrix &a, const Matrix &b, const Matrix &c)
{
    const std::int64_t inner = a.shape[1], columns = b.shape[1];
    for (std::int64_t m = 0; m < a.shape[0]; ++m) {
        for (std::int64_t n = 0; n < columns; ++n) {
            double sum = 0.0;
            for (std::int64_t k = 0; k < inner; ++k)
                sum += double(a.elements[std::size_t(m * inner + k)]) * double(b.elements[std::size_t(k * columns + n)]);
            if (std::fabs(sum - double(c.elements[std::size_t(m * columns + n)])) > 1e-5 * double(inner + 1))
                return false;
        }
    }
    return true;
}

} // namespace

int main()
{
    std::int64_t threads = 3;
    tilewright_call call = TILEWRIGHT_CALL;
    call.parallel = on_threads;
    call.pool = &threads;

    std::atomic<int> wrong(0);
    const std::int64_t sizes[][3] = {{64, 64, 64}, {120, 33, 70}, {1, 1, 1}};
    for (const auto &size : sizes) {
        const Matrix a = some_matrix(size[0], size[1], 1), b = some_matrix(size[1], size[2], 2);
        wrong += !is_product(a, b, multiply(a, b, nullptr));
        wrong += !is_product(a, b, multiply(a, b, &call));
    }

    // The functions keep nothing between calls: any number of threads may be in them.
    std::vector<std::thread> callers;
    for (unsigned caller = 0; caller < 4; ++caller) {
        callers.emplace_back([&wrong, caller] {
            const Matrix a = some_matrix(64, 64, caller), b = some_matrix(64, 64, caller + 10);
            for (int again = 0; again < 20; ++again)
                wrong += !is_product(a, b, multiply(a, b, nullptr));
        });
    }
    for (std::thread &caller : callers)
        caller.join();

    try {
        multiply(some_matrix(2, 3, 1), some_matrix(4, 5, 2), nullptr);
        wrong += 1;
    } catch (const std::invalid_argument &error) {
        std::printf("refused: %s\n", error.what());
    }
    std::puts(wrong == 0 ? "all numbers are right" : "some are wrong");
    return wrong != 0;
}
