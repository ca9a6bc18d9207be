#include "schema/stored_schema.h"

#include <algorithm>

#include "base/bytes.h"
#include "schema/stored_record.h"

namespace qw::schema {
namespace {

constexpr uint8_t kRowsKind = 5, kDecisionKind = 6, kVersion = 1;
constexpr std::string_view kWhat = "a stored schema";

void write_fields(ByteWriter& writer, const std::vector<Field>& fields) {
  writer.varint(fields.size());
  for (const Field& field : fields) {
    writer.text(field.name);
    writer.u8(static_cast<uint8_t>(field.type.kind));
    writer.u8(field.type.precision);
    writer.u8(field.type.scale);
  }
}

bool is_known(Kind kind) { return kind >= Kind::kBool && kind <= Kind::kDecimal; }

Result<std::vector<Field>> read_fields(ByteReader& reader) {
  const uint64_t count = reader.varint();
  if (count > reader.rest().size()) return damaged_record(kWhat);
  std::vector<Field> fields(static_cast<size_t>(count));
  for (Field& field : fields) {
    field.name = reader.text();
    field.type.kind = static_cast<Kind>(reader.u8());
    field.type.precision = reader.u8();
    field.type.scale = reader.u8();
    if (!reader.ok() || !is_known(field.type.kind)) return damaged_record(kWhat);
  }
  return fields;
}

bool all_fit(const std::vector<Value>& values, const std::vector<Field>& fields) {
  return std::equal(values.begin(), values.end(), fields.begin(), fields.end(),
                    [](const Value& value, const Field& field) { return fits(value, field.type); });
}

std::string body_of(const DecisionSchema& schema) {
  std::string body;
  ByteWriter writer(body);
  write_fields(writer, schema.key);
  write_fields(writer, schema.features);
  write_fields(writer, schema.inputs);
  writer.varint(schema.members.size());
  for (const std::string& member : schema.members) writer.text(member);
  write_fields(writer, schema.outputs);
  return body;
}

}  // namespace

uint64_t DecisionSchema::id() const { return std::max<uint64_t>(1, checksum64(body_of(*this))); }

bool DecisionSchema::fits(const DecisionRecord& record) const {
  return all_fit(record.features, features) && all_fit(record.inputs, inputs) &&
         all_fit(record.outputs, outputs) &&
         (record.contributions.empty() || record.contributions.size() == members.size());
}

bool fits(const Value& value, const Type& type) {
  if (is_null(value)) return true;
  if (std::holds_alternative<double>(value)) return type.kind == Kind::kDouble;
  if (std::holds_alternative<std::string>(value)) return type.kind == Kind::kString;
  return type.is_integral();
}

void encode_schema(const Schema& schema, std::string& out) {
  std::string body;
  ByteWriter writer(body);
  write_fields(writer, schema.fields());
  seal_record(kRowsKind, kVersion, body, out);
}

Result<Schema> decode_schema(std::string_view record) {
  QW_ASSIGN(ByteReader reader, open_stored(record, kRowsKind, kVersion, kWhat));
  QW_ASSIGN(std::vector<Field> fields, read_fields(reader));
  if (!reader.done()) return damaged_record(kWhat);
  return Schema(std::move(fields));
}

void encode_decision_schema(const DecisionSchema& schema, std::string& out) {
  seal_record(kDecisionKind, kVersion, body_of(schema), out);
}

Result<DecisionSchema> decode_decision_schema(std::string_view record) {
  QW_ASSIGN(ByteReader reader, open_stored(record, kDecisionKind, kVersion, kWhat));
  DecisionSchema schema;
  QW_ASSIGN(schema.key, read_fields(reader));
  QW_ASSIGN(schema.features, read_fields(reader));
  QW_ASSIGN(schema.inputs, read_fields(reader));
  const uint64_t members = reader.varint();
  if (members > reader.rest().size()) return damaged_record(kWhat);
  for (uint64_t member = 0; member < members; ++member) schema.members.emplace_back(reader.text());
  QW_ASSIGN(schema.outputs, read_fields(reader));
  if (!reader.done()) return damaged_record(kWhat);
  return schema;
}

}  // namespace qw::schema
