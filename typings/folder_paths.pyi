models_dir: str
folder_names_and_paths: dict[str, tuple[list[str], set[str]]]

def add_model_folder_path(
    folder_name: str, full_folder_path: str, is_default: bool = False
) -> None: ...
def get_folder_paths(folder_name: str) -> list[str]: ...
def get_save_image_path(
    filename_prefix: str, output_dir: str
) -> tuple[str, str, int, str, str]: ...
