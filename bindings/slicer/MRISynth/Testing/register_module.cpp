// Hands a command-line module's XML to Slicer's own parser, and what comes of it to Slicer's nodes of such modules.
//
// slicer-core has both, but its Python interface leaves out the class between them. It has no headers either: what is used is
// declared here, for the version of slicer-core that scripts/test-slicer.sh names, whose libraries have the old layout of
// std::string (_GLIBCXX_USE_CXX11_ABI=0).
#include <string>

class ModuleDescription {
public:
  ModuleDescription();
  ModuleDescription(const ModuleDescription &);
  void SetTarget(const std::string &);
  void SetLocation(const std::string &);
  void SetType(const std::string &);
  bool HasReturnParameters() const;

private:
  // More than the class has: it is made by its own constructor, in this space.
  alignas(16) char storage_[16384];
};

class ModuleDescriptionParser {
public:
  int Parse(const std::string &xml, ModuleDescription &description);

private:
  alignas(16) char storage_[4096];
};

class vtkMRMLCommandLineModuleNode {
public:
  static void RegisterModuleDescription(ModuleDescription description);
};

// 0 if the parser took the XML; it prints what is wrong with it otherwise.
extern "C" int register_module(const char *xml, const char *executable) {
  // Never freed: only the class itself knows how.
  auto *description = new ModuleDescription;
  auto *parser = new ModuleDescriptionParser();
  if (parser->Parse(xml, *description) != 0) return 1;
  if (!description->HasReturnParameters()) return 2;
  description->SetTarget(executable);
  description->SetLocation(executable);
  description->SetType("CommandLineModule");
  vtkMRMLCommandLineModuleNode::RegisterModuleDescription(*description);
  return 0;
}
