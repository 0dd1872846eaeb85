// libnvonnxparser: asks the server what an ONNX file holds; models in the stand-in's text form it reads itself.
#include "builder.h"
#include "object.h"
#include "NvOnnxParser.h"

#include <memory>
#include <sstream>

using namespace nvonnxparser;
using standin::absent;
#include "parser_defaults.h"

namespace standin
{

class Refusal final : public DefaultIParserError
{
public:
    Refusal(ErrorCode code, int node, std::string name, std::string op, std::string text)
        : mCode(code)
        , mNode(node)
        , mName(std::move(name))
        , mOp(std::move(op))
        , mText(std::move(text))
    {
    }
    ErrorCode code() const override { return mCode; }
    char const* desc() const override { return mText.c_str(); }
    char const* file() const override { return "ModelImporter.cpp"; }
    int line() const override { return 1; }
    char const* func() const override { return "parseNode"; }
    int node() const override { return mNode; }
    char const* nodeName() const override { return mName.c_str(); }
    char const* nodeOperator() const override { return mOp.c_str(); }
    char const* const* localFunctionStack() const override { return nullptr; }
    int32_t localFunctionStackSize() const override { return 0; }

private:
    ErrorCode mCode;
    int mNode;
    std::string mName, mOp, mText;
};

class Parser final : public DefaultIParser
{
public:
    Parser(nvinfer1::INetworkDefinition& network, nvinfer1::ILogger* logger)
        : mNetwork(network)
        , mLogger(logger)
    {
        count("IParser", 1);
    }
    ~Parser() noexcept override { count("IParser", -1); }
    static void* operator new(size_t size) { return calloc(1, size); }
    static void operator delete(void* memory) { bury(memory, "IParser"); }

    bool parse(void const* bytes, size_t size, char const*) noexcept override
    {
        std::string const onnx(static_cast<char const*>(bytes), size);
        Model model;
        if (read_model(onnx, model))
            return find_refused(model) && take(model);
        if (!has_server())
            return refuse(ErrorCode::kMODEL_DESERIALIZE_FAILED, -1, "", "", "Failed to parse the ONNX model.");
        Bytes question;
        question.text(onnx);
        Answer answer = Wire().ask('P', question);
        if (!answer.ok)
            return refuse_as_told(answer.payload.take_text());
        if (!read_model(answer.payload.take_text(), model))
            absent("a description that can be read");
        return take(model);
    }
    int getNbErrors() const noexcept override { return static_cast<int>(mErrors.size()); }
    IParserError const* getError(int i) const noexcept override { return i < getNbErrors() ? mErrors[static_cast<size_t>(i)].get() : nullptr; }
    void clearErrors() noexcept override { mErrors.clear(); }
    bool supportsOperator(char const* op) const noexcept override { return fault("operator") != op; }
    void setFlags(OnnxParserFlags flags) noexcept override { mFlags = flags; }
    OnnxParserFlags getFlags() const noexcept override { return mFlags; }
    void setFlag(OnnxParserFlag flag) noexcept override { mFlags |= 1u << static_cast<int>(flag); }
    void clearFlag(OnnxParserFlag flag) noexcept override { mFlags &= ~(1u << static_cast<int>(flag)); }
    bool getFlag(OnnxParserFlag flag) const noexcept override { return mFlags >> static_cast<int>(flag) & 1; }

private:
    bool take(Model const& model)
    {
        describe(mNetwork, model);
        return true;
    }
    bool find_refused(Model const& model)
    {
        std::string const op = fault("operator");
        for (Node const& node : model.nodes)
            if (node.op == op)
                return refuse(ErrorCode::kUNSUPPORTED_NODE, node.number, node.name, node.op,
                    "No importer registered for op: " + op + ". Attempting to import as plugin.");
        return true;
    }
    // "number\tname\toperator\tdescription"; the number is -1 where it is not about a node.
    bool refuse_as_told(std::string const& told)
    {
        std::istringstream in(told);
        std::string number, name, op, text;
        if (std::getline(in, number, '\t') && std::getline(in, name, '\t') && std::getline(in, op, '\t') && std::getline(in, text))
            return refuse(number == "-1" ? ErrorCode::kMODEL_DESERIALIZE_FAILED : ErrorCode::kUNSUPPORTED_NODE, atoi(number.c_str()), name, op, text);
        return refuse(ErrorCode::kINTERNAL_ERROR, -1, "", "", told);
    }
    bool refuse(ErrorCode code, int node, std::string const& name, std::string const& op, std::string const& text)
    {
        mErrors.push_back(std::make_unique<Refusal>(code, node, name, op, text));
        std::string const where = node < 0 ? "" : "While parsing node number " + std::to_string(node) + " [" + op + " -> \"" + name + "\"]: ";
        error(mLogger, where + text);
        return false;
    }

    nvinfer1::INetworkDefinition& mNetwork;
    nvinfer1::ILogger* mLogger;
    std::vector<std::unique_ptr<Refusal>> mErrors;
    OnnxParserFlags mFlags{1}; // kNATIVE_INSTANCENORM
};

} // namespace standin

extern "C" int getNvOnnxParserVersion() noexcept
{
    return NV_ONNX_PARSER_MAJOR * 10000 + NV_ONNX_PARSER_MINOR * 100 + NV_ONNX_PARSER_PATCH;
}

extern "C" void* createNvOnnxParser_INTERNAL(void* network, void* logger, int) noexcept
{
    return static_cast<IParser*>(new standin::Parser(*static_cast<nvinfer1::INetworkDefinition*>(network), static_cast<nvinfer1::ILogger*>(logger)));
}
