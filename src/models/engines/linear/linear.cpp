#include "models/engines/linear/linear.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "schema/settings.h"

namespace qw::models::linear {
namespace {

using nlohmann::json;
constexpr const char* kWeights = "weights.json";

struct Term {
  double weight = 0;
  double missing = std::numeric_limits<double>::quiet_NaN();  // what a missing value counts as
};

class LinearEngine final : public ScoringEngine {
 public:
  LinearEngine(const Package& package, double intercept, std::vector<Term> terms, bool logistic)
      : ScoringEngine(package.inputs, package.outputs),
        intercept_(intercept),
        terms_(std::move(terms)),
        logistic_(logistic) {}

  std::string_view kind() const override { return "linear"; }

 private:
  Result<void> score_rows(const InputRows& rows, std::span<double> scores) const override {
    for (double& score : scores) score = intercept_;
    for (size_t input = 0; input < terms_.size(); ++input) {
      const double* const values = rows.columns[input].numbers;
      const auto [weight, missing] = terms_[input];
      for (size_t row = 0; row < rows.count; ++row) {
        const double value = values[row];
        scores[row] += weight * (std::isnan(value) ? missing : value);
      }
    }
    if (logistic_)
      for (double& score : scores) score = 1 / (1 + std::exp(-score));
    return {};
  }

  const double intercept_;
  const std::vector<Term> terms_;  // of each input
  const bool logistic_;
};

Error bad(std::string what, std::string where, std::string how_to_mend) {
  return {ErrorCode::kBadInput, std::move(what), std::move(where), std::move(how_to_mend)};
}

Result<json> object_of(std::string_view text, std::string_view where) {
  json parsed = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_object()) return bad("not a JSON object", std::string(where), "write {...}");
  return parsed;
}

Result<void> check_keys(const json& object, const std::vector<std::string>& known,
                        std::string_view what, std::string_view where) {
  for (const auto& [name, value] : object.items())
    if (std::find(known.begin(), known.end(), name) == known.end())
      return bad(fmt::format("there is no {} '{}'", what, name), std::string(where),
                 schema::suggestion(name, known));
  return {};
}

Result<bool> is_logistic(const Package& package) {
  QW_ASSIGN(const json settings, object_of(package.settings, "settings"));
  QW_TRY(check_keys(settings, {"link"}, "setting", "settings"));
  const json link = settings.value("link", json("identity"));
  if (link != "identity" && link != "logistic")
    return bad(fmt::format("the link is {}", link.dump()), "settings",
               "write \"identity\" or \"logistic\"");
  return link == "logistic";
}

Result<void> check_schemas(const Package& package) {
  for (const schema::Field& input : package.inputs.fields())
    if (input.type.kind == schema::Kind::kString)
      return bad(
          fmt::format("the input '{}' is a string, and a linear model reads numbers", input.name),
          package.model, "encode it as numbers, a feature for each value that matters");
  if (package.outputs.size() != 1 || package.outputs.field(0).type != schema::kDouble)
    return bad(fmt::format("a linear model has one output, a double, and {} are declared",
                           package.outputs.size()),
               package.model, "declare one: {\"name\": \"score\", \"type\": \"double\"}");
  return {};
}

// The group's numbers by the name of an input.
Result<json> numbers_of(const json& whole, const char* group, const Package& package) {
  const std::string where = fmt::format("{}: {}", kWeights, group);
  const json numbers = whole.value(group, json::object());
  if (!numbers.is_object()) return bad("not a JSON object", where, "write {\"NAME\": number, ...}");
  std::vector<std::string> names;
  for (const schema::Field& input : package.inputs.fields()) names.push_back(input.name);
  QW_TRY(check_keys(numbers, names, "input", where));
  for (const auto& [name, value] : numbers.items())
    if (!value.is_number())
      return bad(fmt::format("'{}' is {}", name, value.dump()), where, "write a number");
  return numbers;
}

Result<std::vector<Term>> terms_of(const json& whole, const Package& package) {
  QW_ASSIGN(const json weights, numbers_of(whole, "weights", package));
  QW_ASSIGN(const json missing, numbers_of(whole, "missing", package));
  std::vector<Term> terms;
  for (const schema::Field& input : package.inputs.fields()) {
    if (!weights.contains(input.name))
      return bad(fmt::format("the input '{}' has no weight", input.name),
                 fmt::format("{}: weights", kWeights),
                 "give it one (0: it says nothing), or take it off the inputs");
    Term term;
    term.weight = weights[input.name];
    if (missing.contains(input.name)) term.missing = missing[input.name];
    terms.push_back(term);
  }
  return terms;
}

}  // namespace

Result<Engine> make(const Package& package) {
  QW_ASSIGN(const bool logistic, is_logistic(package));
  QW_TRY(check_schemas(package));
  const Artefact* const file = package.artefact(kWeights);
  if (file == nullptr)
    return bad(fmt::format("the package of a linear model has no {}", kWeights), package.model,
               "put it beside the others: {\"intercept\": 0, \"weights\": {\"NAME\": 1}}");
  QW_ASSIGN(const json whole, object_of(file->bytes(), kWeights));
  QW_TRY(check_keys(whole, {"intercept", "weights", "missing"}, "key", kWeights));
  const json intercept = whole.value("intercept", json(0.0));
  if (!intercept.is_number())
    return bad(fmt::format("the intercept is {}", intercept.dump()), kWeights, "write a number");
  QW_ASSIGN(std::vector<Term> terms, terms_of(whole, package));
  return Engine(std::make_shared<const LinearEngine>(package, intercept.get<double>(),
                                                     std::move(terms), logistic));
}

}  // namespace qw::models::linear
