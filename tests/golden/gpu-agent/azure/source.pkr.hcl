variable "subscription_id" {
  type        = string
  description = "The subscription in which the image is baked and kept."
  default     = env("ARM_SUBSCRIPTION_ID")
}

variable "tenant_id" {
  type        = string
  description = "The tenant of the service principal."
  default     = env("ARM_TENANT_ID")
}

variable "client_id" {
  type        = string
  description = "The service principal; empty means the Azure CLI's login."
  default     = env("ARM_CLIENT_ID")
}

variable "client_secret" {
  type        = string
  description = "The service principal's secret."
  default     = env("ARM_CLIENT_SECRET")
  sensitive   = true
}

variable "gallery_version" {
  type        = string
  description = "The version that the gallery gets, as 2026.1123.90."

  validation {
    condition     = can(regex("^[0-9]+\\.[0-9]+\\.[0-9]+$", var.gallery_version))
    error_message = "A gallery version is three numbers with dots."
  }
}

variable "ssh_port" {
  type        = number
  description = "SSH port of the build VM."
  default     = 22
}

locals {
  tags = {
    "managed-by"       = "goldbake"
    "goldbake-bake"    = var.bake
    "goldbake-image"   = "gpu-agent"
    "goldbake-expires" = var.expires
  }
}

source "azure-arm" "golden" {
  subscription_id    = var.subscription_id
  tenant_id          = var.client_id != "" ? var.tenant_id : null
  client_id          = var.client_id != "" ? var.client_id : null
  client_secret      = var.client_id != "" ? var.client_secret : null
  use_azure_cli_auth = var.client_id == ""

  location        = "eastus"
  vm_size         = "Standard_D4s_v5"
  os_type         = "Linux"
  os_disk_size_gb = 32
  image_publisher = "Canonical"
  image_offer     = "ubuntu-24_04-lts"
  image_sku       = "server"
  azure_tags      = local.tags

  shared_image_gallery_destination {
    subscription   = var.subscription_id
    resource_group = "goldbake-images"
    gallery_name   = "goldbake"
    image_name     = "gpu-agent"
    image_version  = var.gallery_version

    target_region {
      name = "eastus"
    }
  }

  communicator = "ssh"
  ssh_username = "packer"
  ssh_port     = var.ssh_port
}
