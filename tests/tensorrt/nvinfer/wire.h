// What the stand-in asks of the test that runs it: questions over a Unix socket (server.rs answers), or over the environment.
// Belongs here: bytes and questions. Does not: what TensorRT makes of the answers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace standin
{

// A question's payload, or an answer's: numbers little endian, texts and bytes with their length before them.
class Bytes
{
public:
    void number(uint32_t value);
    void text(std::string const& value) { bytes(value.data(), value.size()); }
    void bytes(void const* data, size_t size);
    uint32_t take_number();
    std::string take_text();
    std::string data;
    size_t at{0};
};

struct Answer
{
    bool ok;     // Otherwise the payload is one text: why not.
    Bytes payload;
};

// One connection; a question at a time, whichever the thread that asks.
class Wire
{
public:
    ~Wire();
    Answer ask(char kind, Bytes const& question);

private:
    int mSocket{-1};
};

// Whether a test listens (PEREGRINE_STANDIN_SOCKET).
bool has_server();

// The fault of this name that was ordered, or nothing: from PEREGRINE_STANDIN_FAULTS ("name=value;name=value"), else from the server.
std::string fault(std::string const& name);
// Whether it was ordered with a number below this one.
bool fault_above(std::string const& name, int64_t number);

// Something that TensorRT would answer with a crash, or not at all: on stderr and to the server, which keeps it for the test.
void complain(std::string const& what);
// The same for a call that cannot be answered: ends the process.
[[noreturn]] void absent(char const* method);

} // namespace standin
