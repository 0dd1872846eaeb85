// The life of TensorRT's objects: how many there are, that none is deleted twice, used after its end or by two threads at once.
#pragma once

#include "NvInfer.h"
#include "wire.h"

#include <atomic>
#include <cstdlib>
#include <string>

namespace standin
{

// +1 for a new object of a kind, -1 for one that is gone.
void count(char const* kind, int change);
// Makes the memory of a deleted object answer every call with a complaint and the process's end.
void bury(void* memory, char const* kind);

// What TensorRT gives out as `Face` (IRuntime), computed by `Inner` (the defaults for VRuntime). Its memory is never given back, so that
// what is done to it afterwards is seen.
template <class Face, class Inner, class Self>
class Object : public Face, public Inner
{
public:
    Object()
    {
        this->mImpl = this;
        count(Self::kind(), 1);
    }
    ~Object() noexcept override { count(Self::kind(), -1); }
    static void* operator new(size_t size) { return calloc(1, size < 64 ? 64 : size); }
    static void operator delete(void* memory) { bury(memory, Self::kind()); }
};

// Held while a call is under way on an object that only one thread may use at a time.
class Alone
{
public:
    Alone(std::atomic<int>& users, char const* kind)
        : mUsers(users)
    {
        if (mUsers.fetch_add(1) != 0)
            complain(std::string(kind) + " is used by two threads at once");
    }
    ~Alone() { mUsers.fetch_sub(1); }

private:
    std::atomic<int>& mUsers;
};

// Says it as TensorRT does: "[function] Error Code 3: …" at the severity of an error.
void error(nvinfer1::ILogger* logger, std::string const& what);
void warn(nvinfer1::ILogger* logger, std::string const& what);
void inform(nvinfer1::ILogger* logger, std::string const& what);

} // namespace standin
