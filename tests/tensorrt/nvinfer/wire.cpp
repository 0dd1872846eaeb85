#include "wire.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace standin
{

void Bytes::number(uint32_t value)
{
    for (int shift = 0; shift < 32; shift += 8)
        data.push_back(static_cast<char>(value >> shift));
}

void Bytes::bytes(void const* from, size_t size)
{
    number(static_cast<uint32_t>(size));
    data.append(static_cast<char const*>(from), size);
}

uint32_t Bytes::take_number()
{
    if (at + 4 > data.size())
        absent("an answer that is long enough");
    uint32_t value = 0;
    for (int i = 3; i >= 0; --i)
        value = value << 8 | static_cast<unsigned char>(data[at + i]);
    at += 4;
    return value;
}

std::string Bytes::take_text()
{
    size_t const size = take_number();
    if (at + size > data.size())
        absent("an answer that is long enough");
    at += size;
    return data.substr(at - size, size);
}

static char const* socket_path() { return getenv("PEREGRINE_STANDIN_SOCKET"); }

bool has_server()
{
    char const* path = socket_path();
    return path && *path;
}

static int connect_to(char const* path)
{
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (!path || strlen(path) >= sizeof address.sun_path)
        return -1;
    strcpy(address.sun_path, path);
    int const fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    {
        close(fd);
        return -1;
    }
    return fd;
}

static bool send_all(int fd, std::string const& data)
{
    for (size_t sent = 0; sent < data.size();)
    {
        ssize_t const n = send(fd, data.data() + sent, data.size() - sent, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        sent += static_cast<size_t>(n);
    }
    return true;
}

static bool receive_all(int fd, char* to, size_t size)
{
    while (size > 0)
    {
        ssize_t const n = recv(fd, to, size, 0);
        if (n <= 0)
            return false;
        to += n;
        size -= static_cast<size_t>(n);
    }
    return true;
}

Wire::~Wire()
{
    if (mSocket >= 0)
        close(mSocket);
}

// length of what follows, one byte of kind (or of success), payload.
Answer Wire::ask(char kind, Bytes const& question)
{
    auto const lost = [this] {
        if (mSocket >= 0)
            close(mSocket);
        mSocket = -1;
        Bytes why;
        why.text("the compute server is gone");
        return Answer{false, why};
    };
    if (mSocket < 0)
        mSocket = connect_to(socket_path());
    Bytes frame;
    frame.number(static_cast<uint32_t>(question.data.size() + 1));
    frame.data.push_back(kind);
    frame.data += question.data;
    char head[5];
    if (mSocket < 0 || !send_all(mSocket, frame.data) || !receive_all(mSocket, head, sizeof head))
        return lost();
    Bytes length;
    length.data.assign(head, 4);
    Answer answer{head[4] == 0, {}};
    answer.payload.data.resize(length.take_number() - 1);
    if (!receive_all(mSocket, &answer.payload.data[0], answer.payload.data.size()))
        return lost();
    return answer;
}

std::string fault(std::string const& name)
{
    char const* ordered = getenv("PEREGRINE_STANDIN_FAULTS");
    std::string const all = std::string(";") + (ordered ? ordered : "") + ";";
    size_t const at = all.find(";" + name + "=");
    if (at != std::string::npos)
    {
        size_t const begin = at + name.size() + 2;
        return all.substr(begin, all.find(';', begin) - begin);
    }
    if (!has_server())
        return "";
    Bytes question;
    question.text(name);
    Wire wire;
    Answer answer = wire.ask('F', question);
    return answer.ok ? answer.payload.take_text() : "";
}

bool fault_above(std::string const& name, int64_t number)
{
    std::string const limit = fault(name);
    return !limit.empty() && number > atoll(limit.c_str());
}

void complain(std::string const& what)
{
    fprintf(stderr, "stand-in libnvinfer: %s\n", what.c_str());
    if (!has_server())
        return;
    Bytes question;
    question.text(what);
    Wire().ask('C', question);
}

void absent(char const* method)
{
    complain(std::string(method) + " is not part of the stand-in");
    abort();
}

} // namespace standin
