// Reads a folder, and picks the series out of it.
#include "series.h"

#include "attributes.h"
#include "failure.h"
#include "trial.h"

#include <algorithm>
#include <map>
#include <set>

namespace mrisynth_dicom {
namespace {

using AllSeries = std::map<std::string, std::vector<Found>>;

std::vector<std::filesystem::path> files_in(const std::filesystem::path &folder) {
  std::vector<std::filesystem::path> files;
  try {
    for (const auto &entry : std::filesystem::recursive_directory_iterator(folder)) {
      if (entry.is_regular_file()) files.push_back(entry.path());
    }
  } catch (const std::filesystem::filesystem_error &fault) {
    throw Failure(ExitCode::io, folder.string() + ": " + fault.code().message());
  }
  // Whatever order the file system has them in, messages name the same file.
  std::sort(files.begin(), files.end());
  return files;
}

AllSeries all_series(const std::filesystem::path &folder) {
  AllSeries series;
  const auto files = files_in(folder);
  try_reading(files, [](const std::filesystem::path &path) { read_header(path); });
  for (const auto &path : files) {
    // A DICOMDIR and what belongs to no series is no image.
    const auto found = read_header(path);
    if (found && !found->series_instance_uid.empty()) series[found->series_instance_uid].push_back(*found);
  }
  if (series.empty()) throw Failure(ExitCode::bad_image, folder.string() + ": there is no DICOM image");
  return series;
}

/// One line for each series: what tells them apart and says nothing of the patient.
std::string listed(const AllSeries &series) {
  std::string lines;
  for (const auto &[uid, files] : series) {
    const auto number = text_of(files[0].dataset(), tag::series_number).value_or("?");
    lines += "\n  " + plain(uid, 64) + "  number " + plain(number, 12) + ", " + plain(files[0].modality, 16) + ", " +
             std::to_string(files.size()) + (files.size() == 1 ? " file" : " files");
  }
  return lines;
}

const std::vector<Found> &chosen(const AllSeries &series, const std::filesystem::path &folder, const std::string &uid) {
  if (!uid.empty()) {
    const auto found = series.find(uid);
    if (found != series.end()) return found->second;
    throw Failure(ExitCode::invalid_argument,
                  folder.string() + ": there is no series " + uid + ", but:" + listed(series));
  }
  if (series.size() == 1) return series.begin()->second;
  AllSeries of_mr;
  for (const auto &[each, files] : series) {
    if (files[0].modality == "MR") of_mr.emplace(each, files);
  }
  if (of_mr.size() == 1) return series.at(of_mr.begin()->first);
  if (of_mr.empty()) {
    throw Failure(ExitCode::unsupported, folder.string() + ": there is no MR series, but:" + listed(series));
  }
  throw Failure(ExitCode::invalid_argument, folder.string() + ": there are " + std::to_string(of_mr.size()) +
                                                " MR series; name one with --series:" + listed(of_mr));
}

/// What every slice of a series must share.
void check_together(const std::vector<Slice> &slices) {
  std::map<std::string, const Slice *> instances;
  for (const Slice &slice : slices) {
    const Slice &first = slices[0];
    const auto fail = [&](const std::string &fault) {
      throw Failure(ExitCode::bad_image, slice.found.path.string() + ": " + fault + " " + first.found.path.string());
    };
    for (const auto &attribute : {tag::study_instance_uid, tag::frame_of_reference_uid, tag::patient_id}) {
      const auto here = text_of(slice.found.dataset(), attribute), there = text_of(first.found.dataset(), attribute);
      if (here != there) fail("its " + name_of(attribute) + " is not that of");
    }
    if (slice.rows != first.rows || slice.columns != first.columns) fail("it has another size than");
    const auto [other, is_new] = instances.emplace(slice.sop_instance_uid, &slice);
    if (!is_new) {
      throw Failure(ExitCode::bad_image, slice.found.path.string() + ": the same image (SOPInstanceUID) as " +
                                             other->second->found.path.string());
    }
  }
}

}  // namespace

std::vector<Slice> read_series(const std::filesystem::path &folder, const std::string &uid) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(folder, ignored)) {
    throw Failure(ExitCode::io, folder.string() + ": there is no such folder");
  }
  const auto series = all_series(folder);
  std::vector<Slice> slices;
  for (const Found &found : chosen(series, folder, uid)) slices.push_back(slice_of(found));
  check_together(slices);
  return slices;
}

}  // namespace mrisynth_dicom
