build {
  name    = "gpu-agent-debian"
  sources = ["source.azure-arm.golden"]

  provisioner "shell-local" {
    inline = [
      "umask 077",
      "cat >\"${var.check_folder}/key\" <<'GOLDBAKE_KEY'\n${build.SSHPrivateKey}\nGOLDBAKE_KEY",
      "exec ${var.check_command} --host '${build.Host}' --port '${build.Port}' --user '${build.User}'",
    ]
  }
}
