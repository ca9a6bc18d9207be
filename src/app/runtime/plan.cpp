#include "app/runtime/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "app/runtime/connect.h"
#include "app/runtime/severity.h"
#include "models/engines/builtin.h"

namespace qw::app {
namespace {

using features::Expression;

// "derive ratio, column 7" of an expression's error becomes a place in the file.
Place place_in(const app::Expression& written, const Error& error) {
  constexpr std::string_view kColumn = "column ";
  size_t column = 1;
  const size_t at = error.where.rfind(kColumn);
  if (at != std::string::npos)
    std::from_chars(error.where.data() + at + kColumn.size(),
                    error.where.data() + error.where.size(), column);
  return written.at(column - 1);
}

// The number in `registry:NAME@7`.
std::optional<int64_t> number_in(std::string_view alias) {
  int64_t version = 0;
  const auto read = std::from_chars(alias.data(), alias.data() + alias.size(), version);
  if (read.ec != std::errc() || read.ptr != alias.data() + alias.size()) return std::nullopt;
  return version;
}

class Compiler {
 public:
  explicit Compiler(AppFile file) : plan_(std::make_shared<Plan>()) {
    plan_->file = std::move(file);
  }

  void compile() {
    for (const Source& source : file().sources) compile_source(source);
    for (PlanSource& source : plan_->sources) compile_inputs(source);
    for (const auto& [derive, error] : unplaced_) report(place_in(derive->as, error), error);
    // On features that are not there, good expressions would be called wrong.
    const bool features_good = problems_.empty();
    for (const Model& model : file().models) compile_model(model);
    check_registry_names();
    if (features_good)
      for (const Decision& decision : file().decisions) compile_decision(decision);
  }

  std::shared_ptr<const Plan> plan() const { return plan_; }
  const std::vector<Problem>& problems() const { return problems_; }

 private:
  const AppFile& file() const { return plan_->file; }
  void report(Place place, std::string message, std::string how_to_mend) {
    problems_.push_back(
        {Gravity::kError, "does_not_compile", place, std::move(message), std::move(how_to_mend)});
  }
  void report(Place place, const Error& error) { report(place, error.message, error.how_to_mend); }

  std::optional<Expression> program(const app::Expression& written, const schema::Schema& inputs) {
    if (written.empty()) return std::nullopt;
    auto compiled = Expression::compile(written.text, inputs);
    if (compiled.ok()) return std::move(compiled).value();
    report(place_in(written, compiled.error()), compiled.error());
    return std::nullopt;
  }

  std::optional<Expression> condition(const app::Expression& written,
                                      const schema::Schema& inputs) {
    auto compiled = program(written, inputs);
    if (compiled && compiled->type() != schema::kBool) {
      report(written.place,
             fmt::format("a condition is true or false, but this is a {}",
                         compiled->type().to_string()),
             "compare it with something, for example `score > 3`");
      return std::nullopt;
    }
    return compiled;
  }

  void compile_source(const Source& source) {
    PlanSource planned;
    planned.name = source.name.text;
    planned.file = &source;
    planned.schema = std::make_shared<const schema::Schema>(source.schema);
    for (const auto& [place, error] : check_source(planned)) report(place, error);
    for (const View& view : file().views)
      if (view.from.text == source.name.text) compile_view(view, planned);
    plan_->sources.push_back(std::move(planned));
  }

  // What expressions on the source's events may name.
  void compile_inputs(PlanSource& source) {
    const std::vector<std::string> texts = texts_on(source);
    for (size_t of = 0; of < plan_->sources.size(); ++of)
      for (size_t view = 0; view < plan_->sources[of].views.size(); ++view)
        if (&plan_->sources[of] != &source) join_view(of, view, texts, source);
    std::vector<features::ViewPtr> views;
    for (const features::StoredView& view : source.views) views.push_back(view.view);
    for (const features::JoinedView& view : source.joined) views.push_back(view.definition);
    source.features_begin = source.schema->size();
    source.inputs = features::expression_inputs(*source.schema, views);
    compile_derives(source);
  }

  // All that decisions on the source are written with, and the derived features that they name.
  std::vector<std::string> texts_on(const PlanSource& source) const {
    std::vector<std::string> texts;
    for (const Decision& decision : file().decisions) {
      if (decision.on.text != source.name) continue;
      texts.push_back(decision.when.text);
      if (decision.alert) texts.push_back(decision.alert->severity.text);
      for (const Sink& sink : decision.sinks) texts.push_back(sink.when.text);
      for (const Heal& heal : decision.heal) texts.push_back(heal.when.text);
      for (const NamedExpression& output : decision.output) texts.push_back(output.expression.text);
      for (const Model& model : file().models) {
        if (model.name.text != decision.model.text) continue;
        for (const Name& input : model.inputs) texts.push_back(input.text);
        for (const NamedExpression& rule : model.rules) texts.push_back(rule.expression.text);
      }
    }
    // A derived feature may name those before it.
    for (auto derive = file().derives.rbegin(); derive != file().derives.rend(); ++derive)
      if (named_in(texts, derive->name.text)) texts.push_back(derive->as.text);
    return texts;
  }

  // As a whole word; `name` may end in a dot.
  static bool named_in(const std::vector<std::string>& texts, std::string_view name) {
    const auto in_word = [](char c) {
      return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.';
    };
    return std::ranges::any_of(texts, [&](const std::string& text) {
      for (size_t at = text.find(name); at != std::string::npos; at = text.find(name, at + 1)) {
        const size_t end = at + name.size();
        const bool ends = name.ends_with('.') || end == text.size() || !in_word(text[end]);
        if (ends && (at == 0 || !in_word(text[at - 1]))) return true;
      }
      return false;
    });
  }

  // A view of another source, where somebody names it.
  void join_view(size_t of, size_t view, const std::vector<std::string>& texts,
                 PlanSource& source) {
    const features::ViewPtr& definition = plan_->sources[of].views[view].view;
    if (!named_in(texts, definition->name() + ".")) return;
    features::JoinedView joined{of, view, definition, {}};
    for (const size_t key : definition->key_columns()) {
      const schema::Field& wanted = definition->source().field(key);
      const auto column = source.schema->index_of(wanted.name);
      if (column && source.schema->field(*column).type == wanted.type) {
        joined.key_columns.push_back(*column);
        continue;
      }
      report(source.file->name.place,
             fmt::format("a decision on '{}' reads the view '{}' of '{}', whose key '{}' is a {} "
                         "there, but '{}' has no such column",
                         source.name, definition->name(), plan_->sources[of].name, wanted.name,
                         wanted.type.to_string(), source.name),
             "add the column, or call it so with `rename`");
    }
    source.joined.push_back(std::move(joined));
  }

  void compile_view(const View& view, PlanSource& source) {
    features::ViewDefinition definition;
    definition.name = view.name.text;
    definition.source = view.from.text;
    for (const Name& key : view.key) definition.key.push_back(key.text);
    for (const Window& window : view.windows) definition.windows.push_back(window.text);
    for (const NamedExpression& aggregate : view.aggregates)
      definition.aggregates.push_back({aggregate.name.text, aggregate.expression.text});
    definition.exclude_current = view.exclude_current;
    if (view.max_rows > 0) definition.max_rows = static_cast<size_t>(view.max_rows);
    const size_t before = problems_.size();
    for (const NamedExpression& aggregate : view.aggregates) {
      const auto checked = features::compile_aggregate(aggregate.name.text,
                                                       aggregate.expression.text, *source.schema);
      if (!checked.ok()) report(place_in(aggregate.expression, checked.error()), checked.error());
    }
    if (problems_.size() > before) return;
    auto compiled =
        features::View::compile(definition, source.schema, source.file->allowed_lateness_us);
    if (!compiled.ok())
      return report(view.place,
                    fmt::format("{}: {}", compiled.error().where, compiled.error().message),
                    compiled.error().how_to_mend);
    source.views.push_back({compiled.value(), fmt::format("view/{}@{:016x}", view.name.text,
                                                          compiled.value()->hash())});
  }

  // A derived feature belongs to every source that has all it names; one that fits nowhere is an
  // error: that of the first source.
  void compile_derives(PlanSource& source) {
    for (const Derive& derive : file().derives) {
      auto compiled =
          features::compile_derived({{derive.name.text, derive.as.text}}, source.inputs);
      if (compiled.ok()) {
        source.derived.push_back(std::move(compiled.value().front()));
        placed_.insert(&derive);
        std::erase_if(unplaced_, [&](const auto& one) { return one.first == &derive; });
      } else if (!placed_.contains(&derive) &&
                 std::ranges::find(unplaced_, &derive, &Unplaced::first) == unplaced_.end()) {
        unplaced_.emplace_back(&derive, compiled.error());
      }
    }
  }

  void compile_model(const Model& model) {
    PlanModel planned;
    planned.name = model.name.text;
    planned.file = &model;
    planned.kind = !model.detector.empty() ? model.detector.text
                   : model.champion        ? "registry"
                                           : "rules";
    if (model.champion) planned.registry_name = model.champion->model;
    if (model.champion) planned.pinned = number_in(model.champion->alias);
    if (!model.detector.empty()) {
      if (planned.registry_name.empty()) planned.registry_name = model.name.text;
      models::Settings settings;
      Place place = model.detector.place;
      for (const ModelSetting& setting : model.settings) {
        if (const auto* number = std::get_if<double>(&setting.value))
          settings[setting.name.text] = *number;
        else
          report(setting.place, fmt::format("the setting '{}' is a number", setting.name.text),
                 "write a number; `quickwater help app-file models.settings` explains");
      }
      auto engine = models::make_detector(model.detector.text, settings);
      if (!engine.ok()) {
        // The message begins with, or quotes, the setting that it is about.
        for (const ModelSetting& setting : model.settings)
          if (engine.error().message.find(setting.name.text) != std::string::npos)
            place = setting.place;
        report(place, engine.error());
      } else {
        planned.settings = engine.value()->settings_json();
        planned.engine = std::move(engine).value();
      }
    }
    plan_->models.push_back(std::move(planned));
  }

  // What serves is noted under the registry's name: two models that follow it would each take the
  // other's note for its own.
  void check_registry_names() {
    std::map<std::string, const PlanModel*> following;
    for (const PlanModel& model : plan_->models) {
      if (model.registry_name.empty() || model.pinned) continue;
      const auto [first, is_new] = following.emplace(model.registry_name, &model);
      if (is_new) continue;
      report(model.file->place,
             fmt::format("the models '{}' and '{}' both follow the versions of '{}'",
                         first->second->name, model.name, model.registry_name),
             "let several decisions use one model, or pin one of the two to a version: "
             "registry:NAME@3");
    }
  }

  template <class Items>
  std::optional<size_t> index_of(const Items& items, const Name& name, std::string_view what) {
    for (size_t index = 0; index < items.size(); ++index)
      if (items[index].name == name.text) return index;
    report(name.place, fmt::format("there is no {} '{}'", what, name.text), "");
    return std::nullopt;
  }

  std::optional<size_t> input_index(const schema::Schema& inputs, const Name& name) {
    if (const auto index = inputs.index_of(name.text)) return index;
    report(name.place, fmt::format("there is no column or feature '{}' here", name.text),
           "name a column of the source, a feature as view.feature, or a derived feature");
    return std::nullopt;
  }

  void compile_decision(const Decision& decision) {
    const auto source = index_of(plan_->sources, decision.on, "source");
    const auto model = index_of(plan_->models, decision.model, "model");
    if (!source || !model) return;
    PlanSource& from = plan_->sources[*source];
    PlanDecision planned;
    planned.name = decision.name.text;
    planned.file = &decision;
    planned.source = *source;
    planned.model = *model;
    planned.model_name = plan_->models[*model].name;
    planned.features_begin = from.features_begin;
    planned.when = condition(decision.when, *from.inputs);
    bind_model(planned, from);
    if (!add_outputs(planned, from)) return;
    add_alert(planned);
    for (const Sink& sink : decision.sinks)
      planned.sinks.push_back({sink.name.text, &sink, condition(sink.when, *planned.inputs)});
    for (const Heal& heal : decision.heal)
      planned.heals.push_back({heal.name.text, &heal, condition(heal.when, *planned.inputs)});
    from.decisions.push_back(plan_->decisions.size());
    plan_->decisions.push_back(std::move(planned));
  }

  void bind_model(PlanDecision& planned, const PlanSource& from) {
    const PlanModel& model = plan_->models[planned.model];
    for (const Name& key : model.file->key) {
      const auto index = input_index(*from.schema, key);
      if (!index) continue;
      if (from.schema->field(*index).type.kind == schema::Kind::kDouble)
        report(key.place, fmt::format("'{}' is a double, which is no key", key.text),
               "use a string, int64, bool, timestamp or decimal column");
      planned.key_columns.push_back(*index);
    }
    for (const Name& input : model.file->inputs)
      if (const auto index = input_index(*from.inputs, input))
        planned.model_inputs.push_back(*index);
    for (const NamedExpression& rule : model.file->rules)
      if (auto compiled = program(rule.expression, *from.inputs))
        planned.rules.push_back({rule.name.text, std::move(*compiled)});
    if (model.engine && planned.model_inputs.size() != 1)
      report(model.file->place,
             fmt::format("a detector scores one number per event, but model '{}' has {} inputs",
                         model.name, planned.model_inputs.size()),
             "name one input, for example `inputs: [value]`");
    for (const size_t input : planned.model_inputs)
      if (model.engine && !from.inputs->field(input).type.is_numeric())
        report(
            model.file->inputs.front().place,
            fmt::format("the input '{}' is a {}, a detector needs a number",
                        from.inputs->field(input).name, from.inputs->field(input).type.to_string()),
            "name an int64, double or decimal column or feature");
  }

  // False when one is wrong: what reads it cannot be judged.
  bool add_outputs(PlanDecision& planned, const PlanSource& from) {
    std::vector<schema::Field> fields = from.inputs->fields();
    planned.model_begin = fields.size();
    if (planned.rules.empty()) {
      fields.push_back({"score", schema::kDouble, true});
      fields.push_back({"threshold", schema::kDouble, true});
      fields.push_back({"warm", schema::kBool, false});
    }
    for (const serve::NamedProgram& rule : planned.rules)
      fields.push_back({rule.name, rule.expression.type(), true});
    planned.outputs_begin = fields.size();
    const size_t wrong_before = problems_.size();
    for (const NamedExpression& output : planned.file->output) {
      auto compiled = program(output.expression, schema::Schema(fields));
      if (!compiled) continue;
      fields.push_back({output.name.text, compiled->type(), true});
      planned.outputs.push_back({output.name.text, std::move(*compiled)});
    }
    planned.inputs = std::make_shared<const schema::Schema>(std::move(fields));
    return problems_.size() == wrong_before;
  }

  void add_alert(PlanDecision& planned) {
    if (!planned.file->alert) return;
    const Alert& alert = *planned.file->alert;
    auto severity = program(alert.severity, *planned.inputs);
    if (!severity) return;
    if (severity->type() != schema::kString)
      return report(alert.severity.place,
                    fmt::format("a severity is a text or null, but this is a {}",
                                severity->type().to_string()),
                    "use 'info', 'warning', 'critical' or null");
    check_words(planned, alert.severity, *severity);
    PlanAlert made{std::move(*severity), {}};
    made.policy.for_us = alert.for_us;
    made.policy.cooldown_us = alert.cooldown_us;
    made.policy.resolve_after_us = alert.resolve_after_us;
    made.policy.flap_fires = static_cast<uint32_t>(alert.flap_fires);
    made.policy.flap_window_us = alert.flap_window_us;
    made.policy.flap_resolve_after_us = alert.flap_resolve_after_us;
    made.policy.learns_stale_after = !alert.stale_after_us;
    made.policy.stale_after_us = alert.stale_after_us.value_or(
        std::max(monitor::kStaleAfterUs, 2 * std::max(alert.for_us, alert.resolve_after_us)));
    if (const auto checked = monitor::check(made.policy); !checked.ok())
      return report(alert.place, checked.error());
    planned.alert = std::move(made);
  }

  // A word that means no severity would never become an alert, and nobody would know.
  void check_words(const PlanDecision& planned, const app::Expression& written,
                   const Expression& compiled) {
    const app::Expression* text = &written;
    const Expression* program = &compiled;
    if (program->tree().kind == features::Typed::Kind::kColumn)
      for (const serve::NamedProgram& output : planned.outputs)
        if (output.name == compiled.tree().column_name) {
          program = &output.expression;
          for (const NamedExpression& one : planned.file->output)
            if (one.name.text == output.name) text = &one.expression;
        }
    for (const WrongSeverity& wrong : wrong_severities(program->tree()))
      report(text->at(wrong.offset), fmt::format("'{}' is no severity", wrong.word),
             "use 'info', 'warning', 'critical' or null");
  }

  using Unplaced = std::pair<const Derive*, Error>;

  std::shared_ptr<Plan> plan_;
  std::vector<Problem> problems_;
  std::set<const Derive*> placed_;  // that some source has all names of
  std::vector<Unplaced> unplaced_;
};

}  // namespace

Result<std::shared_ptr<const Plan>> compile_plan(AppFile file, Problems* problems) {
  Compiler compiler(std::move(file));
  compiler.compile();
  if (compiler.problems().empty()) return compiler.plan();
  if (problems != nullptr)
    for (const Problem& one : compiler.problems())
      problems->add(one.gravity, one.code, one.place, one.message, one.how_to_mend);
  const Problem& first = compiler.problems().front();
  return Error{ErrorCode::kBadInput, first.message, compiler.plan()->file.where(first.place),
               first.how_to_mend};
}

Result<size_t> versioned_model(const Plan& plan, const std::string& name) {
  std::vector<size_t> found;
  std::string known;
  for (size_t model = 0; model < plan.models.size(); ++model) {
    if (plan.models[model].registry_name.empty()) continue;
    known += (known.empty() ? "" : ", ") + plan.models[model].name;
    if (name.empty() || plan.models[model].name == name) found.push_back(model);
  }
  if (found.size() == 1) return found.front();
  if (known.empty())
    return Error{ErrorCode::kNotFound, "no model of the application has versions", plan.file.path,
                 "give one a `detector`, or `versions`"};
  if (found.empty())
    return Error{ErrorCode::kNotFound, fmt::format("no model '{}' has versions", name),
                 plan.file.path, "use one of: " + known};
  return Error{ErrorCode::kBadInput, "several models have versions", plan.file.path,
               "choose one with --model: " + known};
}

}  // namespace qw::app
