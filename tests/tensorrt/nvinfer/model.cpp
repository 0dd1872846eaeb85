#include "model.h"
#include "wire.h"

#include <cstdio>
#include <cstdlib>
#include <sstream>

namespace standin
{

static char const kModel[] = "peregrine stand-in model";
static char const kPlan[] = "peregrine-stand-in-plan";

int64_t volume(nvinfer1::Dims const& dims)
{
    int64_t product = 1;
    for (int i = 0; i < dims.nbDims; ++i)
        product *= dims.d[i];
    return product;
}

std::string words(nvinfer1::Dims const& dims)
{
    std::string text = "[";
    for (int i = 0; i < dims.nbDims; ++i)
        text += (i ? "," : "") + std::to_string(dims.d[i]);
    return text + "]";
}

bool same(nvinfer1::Dims const& a, nvinfer1::Dims const& b) { return words(a) == words(b); }

int64_t Model::greatest_batch() const
{
    Port const& first = ports.front();
    return first.bounds[2].nbDims > 0 ? first.bounds[2].d[0] : first.dims.d[0];
}

Port const* Model::port(std::string const& name) const
{
    for (Port const& port : ports)
        if (port.name == name)
            return &port;
    return nullptr;
}

Port* Model::port(std::string const& name) { return const_cast<Port*>(static_cast<Model const*>(this)->port(name)); }

static nvinfer1::Dims take_dims(std::vector<int64_t> const& numbers, size_t begin, size_t end)
{
    nvinfer1::Dims dims{};
    for (size_t i = begin; i < end && dims.nbDims < nvinfer1::Dims::MAX_DIMS; ++i)
        dims.d[dims.nbDims++] = numbers[i];
    return dims;
}

static bool read_line(std::string const& line, Model& model)
{
    std::istringstream in(line);
    std::string word, name;
    in >> word;
    if (word == "source")
        return bool(in >> model.source);
    if (word == "layers")
        return bool(in >> model.layers);
    if (word == "quantised")
        return model.quantised = true;
    if (word == "node")
    {
        Node node;
        bool const whole = bool(in >> node.number >> node.op >> node.name);
        model.nodes.push_back(node);
        return whole;
    }
    in >> name;
    if (word == "setting")
    {
        in.get();
        return bool(std::getline(in, model.settings[name]));
    }
    std::vector<int64_t> numbers;
    for (int64_t number; in >> number;)
        numbers.push_back(number);
    if (word == "profile")
    {
        Port* port = model.port(name);
        size_t const rank = numbers.size() / 3;
        for (size_t i = 0; port && i < 3; ++i)
            port->bounds[i] = take_dims(numbers, i * rank, (i + 1) * rank);
        return port != nullptr;
    }
    model.ports.push_back(Port{word == "input", name, take_dims(numbers, 0, numbers.size()), {}});
    return word == "input" || word == "output";
}

bool read_model(std::string const& text, Model& model)
{
    std::istringstream in(text);
    std::string line;
    if (!std::getline(in, line) || line != kModel)
        return false;
    while (std::getline(in, line))
        if (!line.empty() && !read_line(line, model))
            return false;
    return !model.ports.empty() && model.ports.front().input;
}

static std::string numbers(nvinfer1::Dims const& dims)
{
    std::string text;
    for (int i = 0; i < dims.nbDims; ++i)
        text += " " + std::to_string(dims.d[i]);
    return text;
}

std::string Model::text() const
{
    std::string text = std::string(kModel) + "\nsource " + source + "\nlayers " + std::to_string(layers) + "\n";
    text += quantised ? "quantised\n" : "";
    for (Port const& port : ports)
    {
        text += (port.input ? "input " : "output ") + port.name + numbers(port.dims) + "\n";
        if (port.bounds[0].nbDims > 0)
            text += "profile " + port.name + numbers(port.bounds[0]) + numbers(port.bounds[1]) + numbers(port.bounds[2]) + "\n";
    }
    for (auto const& setting : settings)
        text += "setting " + setting.first + " " + setting.second + "\n";
    return text;
}

// FNV-1a.
static std::string hash(std::string const& body)
{
    uint64_t sum = 0xcbf29ce484222325u;
    for (unsigned char byte : body)
        sum = (sum ^ byte) * 0x100000001b3u;
    char text[17];
    snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(sum));
    return text;
}

static std::string platform()
{
    char const* name = getenv("PEREGRINE_STANDIN_PLATFORM");
    return name && *name ? name : "8.7";
}

static std::string dotted(int version)
{
    return std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." + std::to_string(version % 100);
}

std::string write_plan(Model const& model, int version)
{
    std::string const body = model.text();
    std::ostringstream out;
    out << kPlan << " " << version << " " << platform() << " " << hash(body) << " " << body.size() << "\n" << body;
    return out.str();
}

std::string read_plan(std::string const& plan, int version, Model& model)
{
    std::string const serialization = "IRuntime::deserializeCudaEngine: Error Code 1: Serialization (Serialization assertion ";
    std::istringstream in(plan.substr(0, plan.find('\n')));
    std::string magic, built_on, sum;
    int built_with = 0;
    size_t size = 0;
    in >> magic >> built_with >> built_on >> sum >> size;
    if (magic != kPlan)
        return serialization + "stdArchiveReaderInitCommon.magicTag == kMAGIC_TAG failed. Magic tag does not match)";
    if (built_with != version)
        return "IRuntime::deserializeCudaEngine: Error Code 6: API Usage Error (The engine plan file is not compatible with this version of "
               "TensorRT, expecting library version "
            + dotted(version) + " got " + dotted(built_with) + ", please rebuild.)";
    if (built_on != platform())
        return "IRuntime::deserializeCudaEngine: Error Code 6: API Usage Error (The engine plan file is generated on an incompatible device, "
               "expecting compute "
            + platform() + " got compute " + built_on + ", please rebuild.)";
    std::string const body = plan.substr(plan.find('\n') + 1);
    if (body.size() != size)
        return serialization + "mCurrent + size <= mEnd failed. Unexpected end of the engine)";
    if (hash(body) != sum || !read_model(body, model))
        return serialization + "checksum == header.checksum failed. The engine was changed)";
    return "";
}

} // namespace standin
