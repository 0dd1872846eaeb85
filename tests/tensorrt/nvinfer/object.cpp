#include "object.h"

#include <cstdio>
#include <map>
#include <mutex>

namespace standin
{

static std::mutex gMutex;
static std::map<std::string, int>& counts()
{
    static auto* all = new std::map<std::string, int>; // Outlives every destructor.
    return *all;
}

void count(char const* kind, int change)
{
    std::lock_guard<std::mutex> lock(gMutex);
    counts()[kind] += change;
}

static thread_local char const* tDead = "an object";

[[noreturn]] static void used_after_end()
{
    complain(std::string(tDead) + " was deleted twice, or used after it was deleted");
    abort();
}

void bury(void* memory, char const* kind)
{
    static void* tomb[256];
    static void* const* dead_inner = nullptr;
    static std::once_flag once;
    std::call_once(once, [] {
        for (void*& slot : tomb)
            slot = reinterpret_cast<void*>(&used_after_end);
        dead_inner = tomb;
    });
    tDead = kind;
    // Its own table of methods, and the pointer to what computes it.
    auto* words = static_cast<void* volatile*>(memory);
    words[0] = tomb;
    words[1] = &dead_inner;
}

void error(nvinfer1::ILogger* logger, std::string const& what)
{
    logger->log(nvinfer1::ILogger::Severity::kERROR, what.c_str());
}

void warn(nvinfer1::ILogger* logger, std::string const& what)
{
    logger->log(nvinfer1::ILogger::Severity::kWARNING, what.c_str());
}

void inform(nvinfer1::ILogger* logger, std::string const& what)
{
    logger->log(nvinfer1::ILogger::Severity::kINFO, what.c_str());
}

// At the process's end everything is to be gone.
__attribute__((destructor)) static void take_stock()
{
    for (auto const& entry : counts())
        if (entry.second != 0)
            complain(std::to_string(entry.second) + " of " + entry.first + " left at the end");
}

} // namespace standin
