// Reads and writes attributes of DICOM datasets.
#include "attributes.h"

#include <gdcmDicts.h>
#include <gdcmGlobal.h>
#include <gdcmSequenceOfItems.h>

#include <charconv>
#include <cmath>
#include <cstring>

namespace mrisynth_dicom {
namespace {

std::string trimmed(const std::string &text) {
  const char *blanks = " \t\r\n";
  const auto first = text.find_first_not_of(blanks);
  return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

std::optional<double> number_of(const std::string &text) {
  // DICOM allows a plus sign; from_chars, which no locale touches, does not.
  const char *first = text.data() + (text.size() > 1 && text[0] == '+' ? 1 : 0), *last = text.data() + text.size();
  double number = 0.0;
  const auto [end, fault] = std::from_chars(first, last, number);
  if (fault != std::errc() || end != last || !std::isfinite(number)) return std::nullopt;
  return number;
}

void set_bytes(gdcm::DataSet &dataset, const gdcm::Tag &attribute, gdcm::VR::VRType representation, const char *bytes,
               std::size_t size) {
  gdcm::DataElement element(attribute);
  element.SetVR(representation);
  element.SetByteValue(bytes, static_cast<std::uint32_t>(size));
  dataset.Replace(element);
}

}  // namespace

std::string name_of(const gdcm::Tag &attribute) {
  const char *name = gdcm::Global::GetInstance().GetDicts().GetPublicDict().GetKeywordFromTag(attribute);
  return name ? name : attribute.PrintAsPipeSeparatedString();
}

std::optional<std::string> text_of(const gdcm::DataSet &dataset, const gdcm::Tag &attribute) {
  if (!dataset.FindDataElement(attribute)) return std::nullopt;
  const gdcm::ByteValue *bytes = dataset.GetDataElement(attribute).GetByteValue();
  if (!bytes) return std::nullopt;
  std::string text(bytes->GetPointer(), bytes->GetLength());
  // Text is padded with a space, a UID with NUL.
  while (!text.empty() && (text.back() == ' ' || text.back() == '\0')) text.pop_back();
  return text.empty() ? std::nullopt : std::optional<std::string>(text);
}

std::vector<std::string> values_of(const std::string &text) {
  std::vector<std::string> values;
  for (std::size_t start = 0; start <= text.size();) {
    const auto end = std::min(text.find('\\', start), text.size());
    values.push_back(trimmed(text.substr(start, end - start)));
    start = end + 1;
  }
  return values;
}

std::optional<std::vector<double>> numbers_of(const gdcm::DataSet &dataset, const gdcm::Tag &attribute,
                                              std::size_t count) {
  const auto text = text_of(dataset, attribute);
  if (!text) return std::nullopt;
  std::vector<double> numbers;
  for (const auto &value : values_of(*text)) {
    const auto number = number_of(value);
    if (!number) return std::nullopt;
    numbers.push_back(*number);
  }
  return numbers.size() == count ? std::optional(numbers) : std::nullopt;
}

std::optional<std::uint16_t> short_of(const gdcm::DataSet &dataset, const gdcm::Tag &attribute) {
  if (!dataset.FindDataElement(attribute)) return std::nullopt;
  const gdcm::ByteValue *bytes = dataset.GetDataElement(attribute).GetByteValue();
  if (!bytes || bytes->GetLength() != 2) return std::nullopt;
  std::uint16_t value = 0;
  std::memcpy(&value, bytes->GetPointer(), sizeof value);
  return value;
}

void set_text(gdcm::DataSet &dataset, const gdcm::Tag &attribute, gdcm::VR::VRType representation, std::string text) {
  if (text.size() % 2 != 0) text.push_back(representation == gdcm::VR::UI ? '\0' : ' ');
  set_bytes(dataset, attribute, representation, text.data(), text.size());
}

void set_short(gdcm::DataSet &dataset, const gdcm::Tag &attribute, std::uint16_t value) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  set_bytes(dataset, attribute, gdcm::VR::US, bytes, sizeof bytes);
}

void set_item(gdcm::DataSet &dataset, const gdcm::Tag &attribute, const gdcm::DataSet &item) {
  gdcm::Item only;
  only.SetVLToUndefined();
  only.SetNestedDataSet(item);
  const auto sequence = gdcm::SequenceOfItems::New();
  sequence->SetLengthToUndefined();
  sequence->AddItem(only);
  gdcm::DataElement element(attribute);
  element.SetVR(gdcm::VR::SQ);
  element.SetValue(*sequence);
  element.SetVLToUndefined();
  dataset.Replace(element);
}

std::string plain(const std::string &text, std::size_t longest) {
  std::string result;
  for (const char letter : text) result.push_back(letter >= ' ' && letter <= '~' && letter != '\\' ? letter : '?');
  return result.substr(0, longest);
}

}  // namespace mrisynth_dicom
