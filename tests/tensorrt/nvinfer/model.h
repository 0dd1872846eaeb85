// What the stand-in knows of a model, and the file that it writes for it instead of a plan.
#pragma once

#include "NvInfer.h"

#include <map>
#include <string>
#include <vector>

namespace standin
{

struct Port
{
    bool input;
    std::string name;
    nvinfer1::Dims dims;         // -1 where the model leaves it open.
    nvinfer1::Dims bounds[3];    // Least, best, greatest of the profile; of inputs.
};

// A node that a parser may refuse, and one that it must.
struct Node
{
    int number;
    std::string op;
    std::string name;
};

struct Model
{
    std::string source;            // By which the server knows it; "sums" is computed here.
    int layers{1};
    bool quantised{false};         // Has Q/DQ.
    std::vector<Port> ports;       // Inputs first.
    std::vector<Node> nodes;       // Those of a model in text form; the server looks after those of an ONNX.
    std::map<std::string, std::string> settings; // With which it was built.

    int64_t greatest_batch() const;
    Port const* port(std::string const& name) const;
    Port* port(std::string const& name);
    std::string text() const;
};

// "peregrine stand-in model" and lines: source S, layers N, quantised, node N OP NAME, input|output NAME DIM…,
// profile NAME DIM… (three times the rank), setting NAME VALUE.
bool read_model(std::string const& text, Model& model);

// The plan: one line with the version, the platform, the body's hash and length; then the model as text.
std::string write_plan(Model const& model, int version);
// Empty when it can be run here; otherwise TensorRT's words for what is wrong.
std::string read_plan(std::string const& plan, int version, Model& model);

int64_t volume(nvinfer1::Dims const& dims);
std::string words(nvinfer1::Dims const& dims);
bool same(nvinfer1::Dims const& a, nvinfer1::Dims const& b);

} // namespace standin
